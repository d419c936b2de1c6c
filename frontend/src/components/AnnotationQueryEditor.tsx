import { QueryEditorProps } from '@grafana/data';
import { EditorRow, EditorRows } from '@grafana/plugin-ui';
import { Text } from '@grafana/ui';
import React, { useMemo } from 'react';
import type { CeemsDataSource } from '../datasource';
import { asList } from '../interpolation';
import { QUERY_TYPES } from '../queryTypes';
import { SuggestionScope } from '../suggestions';
import { CeemsOptions, CeemsQuery } from '../types';
import { AdminSelect } from './AdminSelect';
import { ConditionsEditor } from './ConditionsEditor';
import { LimitField } from './LimitField';
import { RunningSwitch } from './QueryFlags';
import { RowFilters } from './RowFilters';

type Props = QueryEditorProps<CeemsDataSource, CeemsQuery, CeemsOptions>;

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
