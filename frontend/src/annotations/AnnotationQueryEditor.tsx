import { QueryEditorProps } from '@grafana/data';
import { EditorRow, EditorRows } from '@grafana/plugin-ui';
import { Text } from '@grafana/ui';
import React, { useMemo } from 'react';
import { asList } from '../query/interpolation';
import { QUERY_TYPES } from '../query/queryTypes';
import { SuggestingDataSource, SuggestionScope } from '../suggestions/suggestions';
import { CeemsOptions, CeemsQuery } from '../types';
import { AdminSelect } from '../fields/AdminSelect';
import { ConditionsEditor } from '../fields/ConditionsEditor';
import { LimitField } from '../fields/LimitField';
import { RunningSwitch } from '../editor/QueryFlags';
import { RowFilters } from '../fields/RowFilters';

type Props = QueryEditorProps<SuggestingDataSource, CeemsQuery, CeemsOptions>;

/** Which units are shown as annotations. */
export function AnnotationQueryEditor({ datasource, query, onChange }: Props) {
  const set = (part: Partial<CeemsQuery>) => onChange({ ...query, queryType: 'units', ...part });
  const scope = useMemo<SuggestionScope>(
    () => ({
      clusters: asList(query.clusters),
      projects: asList(query.projects),
      users: asList(query.users),
      admin: query.admin,
    }),
    [query.clusters, query.projects, query.users, query.admin]
  );
  return (
    <EditorRows>
      <EditorRow>
        <Text variant="bodySmall" color="secondary">
          Each unit is a region from its start to its end. Narrow the choice: many regions hide each other.
        </Text>
      </EditorRow>
      <EditorRow>
        <AdminSelect value={query.admin} onChange={(admin) => set({ admin })} />
        <RunningSwitch value={query.running ?? true} onChange={(running) => set({ running })} />
        <LimitField value={query.limit} onChange={(limit) => set({ limit })} />
      </EditorRow>
      <EditorRow>
        <RowFilters
          datasource={datasource}
          query={query}
          lists={QUERY_TYPES.units.lists}
          scope={scope}
          onChange={set}
        />
      </EditorRow>
      <EditorRow>
        <ConditionsEditor
          datasource={datasource}
          conditions={query.filters ?? []}
          queryType="units"
          onChange={(filters) => set({ filters })}
          scope={scope}
        />
      </EditorRow>
    </EditorRows>
  );
}
