import { CeemsVariableQuery, SuggestionKind } from '../types';

/** Kinds of variables, and a sentence for each. */
export const VARIABLE_KINDS: Array<{ value: SuggestionKind; label: string; description: string }> = [
  { value: 'users', label: 'Users', description: 'Names of users.' },
  { value: 'projects', label: 'Projects', description: 'Names of projects (accounts, tenants, namespaces).' },
  { value: 'clusters', label: 'Clusters', description: 'Identifiers of clusters.' },
  {
    value: 'resource-managers',
    label: 'Resource managers',
    description: 'Slurm, LSF, OpenStack, Kubernetes: what runs the units.',
  },
  { value: 'uuids', label: 'Units', description: 'Identifiers of units.' },
  { value: 'states', label: 'States', description: 'States of units.' },
  {
    value: 'metric-keys',
    label: 'Metric keys',
    description: 'Keys of a metric column, such as its emission providers.',
  },
  {
    value: 'emission-providers',
    label: 'Emission providers',
    description: 'Sources of emission factors that the units have.',
  },
  { value: 'fields', label: 'Fields', description: 'Columns and keys that queries can show.' },
];

/** The default number of values of a variable. */
export const DEFAULT_VARIABLE_LIMIT = 5000;

/** The maximum number of values that the backend returns. */
export const MOST_VALUES = 10_000;

export const DEFAULT_VARIABLE_KIND: SuggestionKind = 'users';

/** A stored variable query. Provisioned dashboards may have only the name of the kind. */
export function readVariableQuery(stored: Partial<CeemsVariableQuery> | string | undefined): CeemsVariableQuery {
  const query = typeof stored === 'string' ? { kind: stored as SuggestionKind } : stored;
  return { ...query, refId: query?.refId || 'variable', kind: query?.kind || DEFAULT_VARIABLE_KIND };
}
