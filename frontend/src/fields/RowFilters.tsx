import React from 'react';
import { SuggestionScope, SuggestionSource } from '../suggestions/suggestions';
import { CeemsQuery, ListFilter, SuggestionKind } from '../types';
import { SuggestedValues } from './SuggestedValues';

const LISTS: Record<ListFilter, { label: string; kind: SuggestionKind; tooltip: string }> = {
  clusters: { label: 'Clusters', kind: 'clusters', tooltip: 'Only of these clusters.' },
  resourceManagers: {
    label: 'Resource managers',
    kind: 'resource-managers',
    tooltip: 'Only what these run: slurm, lsf, openstack, k8s.',
  },
  projects: { label: 'Projects', kind: 'projects', tooltip: 'Only of these projects: accounts, tenants, namespaces.' },
  users: { label: 'Users', kind: 'users', tooltip: 'Only of these users.' },
  uuids: {
    label: 'Unit IDs',
    kind: 'uuids',
    tooltip: 'Only these jobs, virtual machines or pods, whenever they ran: the time range does not matter then.',
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

/** Which rows: clusters, projects, users and so on. Several values of a field unite, several fields intersect. */
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
