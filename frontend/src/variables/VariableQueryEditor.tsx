import { QueryEditorProps } from '@grafana/data';
import { EditorField, EditorRow, EditorRows } from '@grafana/plugin-ui';
import { Select, Text } from '@grafana/ui';
import React, { useCallback, useId, useMemo } from 'react';
import { asList } from '../query/interpolation';
import { DEFAULT_QUERY_TYPE, QUERY_TYPES } from '../query/queryTypes';
import { SuggestingDataSource, SuggestionScope } from '../suggestions/suggestions';
import { CeemsOptions, CeemsQuery, CeemsVariableQuery, SuggestionKind } from '../types';
import { DEFAULT_VARIABLE_LIMIT, MOST_VALUES, readVariableQuery, VARIABLE_KINDS } from './variableQuery';
import { AdminSelect } from '../fields/AdminSelect';
import { ChoiceSelect } from '../fields/ChoiceSelect';
import { LimitField } from '../fields/LimitField';
import { SuggestedSelect } from '../fields/SuggestedSelect';
import { SuggestedValues } from '../fields/SuggestedValues';

type Props = QueryEditorProps<SuggestingDataSource, CeemsQuery, CeemsOptions, CeemsVariableQuery>;

/** Lists that a choice of users narrows. */
const NARROWED_BY_USERS: SuggestionKind[] = ['projects', 'uuids', 'states', 'clusters'];

/** Edits the query of a template variable. */
export function VariableQueryEditor({ datasource, query: stored, onChange }: Props) {
  const id = useId();
  const query = readVariableQuery(stored);
  const set = (part: Partial<CeemsVariableQuery>) => onChange({ ...query, ...part });
  const kind = VARIABLE_KINDS.find(({ value }) => value === query.kind);
  const scope = useMemo<SuggestionScope>(
    () => ({ clusters: asList(query.clusters), admin: query.admin }),
    [query.clusters, query.admin]
  );
  const loadColumns = useCallback(
    async (prefix: string) => {
      const { values, warnings } = await datasource.suggest('fields', { ...scope, prefix, limit: 1000 });
      return { values: metricColumns(values.map(({ value }) => value)), warnings };
    },
    [datasource, scope]
  );
  return (
    <EditorRows>
      <EditorRow>
        <EditorField label="Values" htmlFor={`${id}-kind`}>
          <Select
            inputId={`${id}-kind`}
            aria-label="Values"
            options={VARIABLE_KINDS}
            value={query.kind}
            onChange={({ value }) => value && set({ kind: value, column: undefined })}
            width={26}
          />
        </EditorField>
        {query.kind === 'metric-keys' && (
          <EditorField label="Column" tooltip="The metric whose keys to list." htmlFor={`${id}-column`}>
            <SuggestedSelect
              name="Column"
              inputId={`${id}-column`}
              load={loadColumns}
              values={asList(query.column)}
              onChange={([column]) => set({ column })}
              placeholder="total_cpu_emissions_gms"
              width={34}
            />
          </EditorField>
        )}
        {query.kind === 'fields' && (
          <ChoiceSelect
            label="Of query type"
            tooltip="Each query type has its own columns."
            options={Object.entries(QUERY_TYPES).map(([value, { label }]) => ({ value, label }))}
            value={query.column}
            onChange={(column) => set({ column })}
            placeholder={QUERY_TYPES[DEFAULT_QUERY_TYPE].label}
          />
        )}
        <AdminSelect value={query.admin ?? 'auto'} onChange={(admin) => set({ admin })} />
        <LimitField
          value={query.limit}
          onChange={(limit) => set({ limit })}
          placeholder={String(DEFAULT_VARIABLE_LIMIT)}
          tooltip={`The maximum number of values, up to ${MOST_VALUES}. To find others, type into the variable's drop-down.`}
        />
      </EditorRow>
      <EditorRow>
        <Text variant="bodySmall" color="secondary">
          {kind?.description} Variables of the dashboard can narrow them; All, or nothing, does not narrow.
        </Text>
      </EditorRow>
      <EditorRow>
        {query.kind !== 'clusters' && (
          <SuggestedValues
            label="Clusters"
            tooltip="Only values of these clusters."
            kind="clusters"
            datasource={datasource}
            values={query.clusters}
            scope={{ admin: query.admin }}
            onChange={(clusters) => set({ clusters })}
          />
        )}
        {query.kind !== 'projects' && (
          <SuggestedValues
            label="Projects"
            tooltip="Only values of these projects."
            kind="projects"
            datasource={datasource}
            values={query.projects}
            scope={scope}
            onChange={(projects) => set({ projects })}
          />
        )}
        {NARROWED_BY_USERS.includes(query.kind) && (
          <SuggestedValues
            label="Users"
            tooltip="Only values of these users."
            kind="users"
            datasource={datasource}
            values={query.users}
            scope={scope}
            onChange={(users) => set({ users })}
          />
        )}
      </EditorRow>
    </EditorRows>
  );
}

/** The columns that have keys, each once. */
function metricColumns(fields: string[]) {
  const columns = fields.filter((name) => name.includes('.')).map((name) => name.slice(0, name.indexOf('.')));
  return [...new Set(columns)].map((value) => ({ value }));
}
