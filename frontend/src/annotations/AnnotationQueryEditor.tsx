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
import { ChoiceSelect } from '../fields/ChoiceSelect';
import { TextField } from '../fields/TextField';
import { Option } from '../fields/useSuggestions';
import { AnnotationLook, AnnotationShow } from './look';
import { LimitField } from '../fields/LimitField';
import { ColorSwitch, RunningSwitch } from '../editor/QueryFlags';
import { RowFilters } from '../fields/RowFilters';

const SHOWN: Option[] = [
  { value: 'region', label: 'Regions', description: 'From the start to the end of each unit' },
  { value: 'start', label: 'Starts', description: 'A point where a unit starts' },
  { value: 'end', label: 'Ends', description: 'A point where a unit ends' },
  { value: 'failure', label: 'Failures', description: 'A point where a unit fails' },
];
const TEMPLATE =
  'A text in which {{uuid}}, {{name}}, {{project}}, {{username}}, {{cluster_id}} and {{state}} stand for those of the unit.';

type Props = QueryEditorProps<SuggestingDataSource, CeemsQuery, CeemsOptions>;

/** Which units are shown as annotations. */
export function AnnotationQueryEditor({ datasource, query, onChange }: Props) {
  const set = (part: Partial<CeemsQuery>) => onChange({ ...query, queryType: 'units', ...part });
  const look = query.annotation ?? {};
  const setLook = (part: AnnotationLook) => set({ annotation: { ...look, ...part } });
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
          Each unit is a region from its start to its end, or a point. Narrow the choice: many regions hide each other.
        </Text>
      </EditorRow>
      <EditorRow>
        <AdminSelect value={query.admin} onChange={(admin) => set({ admin })} />
        <RunningSwitch value={query.running ?? true} onChange={(running) => set({ running })} />
        <LimitField
          value={query.limit}
          placeholder="100"
          tooltip="The maximum number of units; those that started last are shown."
          onChange={(limit) => set({ limit })}
        />
      </EditorRow>
      <EditorRow>
        <ChoiceSelect
          label="Show"
          options={SHOWN}
          value={look.show}
          onChange={(show) => setLook({ show: SHOWN.find(({ value }) => value === show)?.value as AnnotationShow })}
          placeholder="Regions"
          width={20}
        />
        <TextField
          label="Title"
          tooltip={TEMPLATE}
          value={look.title ?? ''}
          placeholder="{{name}} ({{uuid}})"
          width={28}
          onCommit={(title) => setLook({ title: title || undefined })}
        />
        <TextField
          label="Text"
          tooltip={TEMPLATE}
          value={look.text ?? ''}
          placeholder="{{username}}, {{project}}"
          width={28}
          onCommit={(text) => setLook({ text: text || undefined })}
        />
        <ColorSwitch value={look.colorByState ?? true} onChange={(colorByState) => setLook({ colorByState })} />
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
