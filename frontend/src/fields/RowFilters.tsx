import React from 'react';
import { SuggestionScope, SuggestionSource } from '../suggestions/suggestions';
import { CeemsQuery, ListFilter, SuggestionKind } from '../types';
import { SuggestedValues } from './SuggestedValues';

const LISTS: Record<ListFilter, { label: string; kind: SuggestionKind; tooltip: string }> = {
  clusters: { label: 'Clusters', kind: 'clusters', tooltip: 'Only rows of these clusters.' },
  resourceManagers: {
    label: 'Resource managers',
    kind: 'resource-managers',
    tooltip: 'Only rows of these resource managers: slurm, lsf, openstack, k8s.',
  },
  projects: {
    label: 'Projects',
    kind: 'projects',
    tooltip: 'Only rows of these projects: accounts, tenants, namespaces.',
  },
  users: { label: 'Users', kind: 'users', tooltip: 'Only rows of these users.' },
  uuids: {
    label: 'Unit IDs',
    kind: 'uuids',
    tooltip: 'Only these jobs, virtual machines or pods, whenever they ran. The time range is then ignored.',
  },
  states: { label: 'States', kind: 'states', tooltip: 'Only units in these states.' },
};

interface Props {
  datasource: SuggestionSource;
  query: CeemsQuery;
  lists: ListFilter[];
  scope: SuggestionScope;
  onChange: (part: Partial<CeemsQuery>) => void;
}

/** Selects rows by clusters, projects, users and so on. Values of one field are alternatives; all fields must match. */
export function RowFilters({ datasource, query, lists, scope, onChange }: Props) {
  return (
    <>
      {lists.map((list) => (
        <SuggestedValues
          key={list}
          {...LISTS[list]}
          datasource={datasource}
          values={query[list]}
          // The other fields narrow the suggestions, the field's own values do not.
          scope={{ ...scope, [list]: undefined }}
          onChange={(values) => onChange({ [list]: values })}
        />
      ))}
    </>
  );
}
