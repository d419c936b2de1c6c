import { CoreApp, QueryEditorProps } from '@grafana/data';
import { EditorField, EditorRow, EditorRows } from '@grafana/plugin-ui';
import { Select, Text } from '@grafana/ui';
import React, { useEffect, useId, useMemo } from 'react';
import { ALERTING_FORMATS, completeQuery, isAlerting, startQueryType } from '../query/defaultQuery';
import { asList } from '../query/interpolation';
import { isLive } from '../live/live';
import { DEFAULT_QUERY_TYPE, isQueryType, QUERY_TYPES, queryTypeInfo } from '../query/queryTypes';
import { SuggestingDataSource, SuggestionScope } from '../suggestions/suggestions';
import { CeemsOptions, CeemsQuery, QueryType } from '../types';
import { AdminSelect } from '../fields/AdminSelect';
import { AnswerRow } from './AnswerRow';
import { CompareSelect } from './CompareSelect';
import { ConditionsEditor } from '../fields/ConditionsEditor';
import { LiveSwitch, ModeRadio, RunningAtSelect, RunningSwitch } from './QueryFlags';
import { RowFilters } from '../fields/RowFilters';
import { SourceSelect } from './SourceSelect';
import { StepFields } from './StepFields';
import { Option } from '../fields/useSuggestions';

export type Props = QueryEditorProps<SuggestingDataSource, CeemsQuery, CeemsOptions>;

/** Edits one query, in panels, Explore and alert rules. */
export function QueryEditor({ datasource, query: stored, onChange, onRunQuery, app }: Props) {
  const id = useId();
  const query = useMemo(() => completeQuery(stored, app), [stored, app]);
  useEffect(() => {
    // Store what the editor shows. It means the same as before, so no query has to run again.
    if (query !== stored) {
      onChange(query);
    }
  }, [query, stored, onChange]);
  const alerting = isAlerting(app);
  const info = queryTypeInfo(query.queryType);
  const live = isLive(query) && !alerting;
  const has = (part: (typeof info.parts)[number]) => info.parts.includes(part);

  const update = (next: CeemsQuery) => {
    onChange(next);
    // Explore has a button to run queries, and queries there tend to be large.
    if (app !== CoreApp.Explore) {
      onRunQuery();
    }
  };
  const set = (part: Partial<CeemsQuery>) => update({ ...query, ...part });

  const scope = useMemo<SuggestionScope>(
    () => ({
      clusters: asList(query.clusters),
      projects: asList(query.projects),
      admin: query.admin,
      users: asList(query.users),
    }),
    [query.clusters, query.projects, query.users, query.admin]
  );

  const changeType = (queryType: QueryType) => {
    const next = startQueryType(query, queryType, app);
    const format = QUERY_TYPES[queryType].formats.find((name) => ALERTING_FORMATS.includes(name));
    update(alerting && format && !next.format ? { ...next, format } : next);
  };

  return (
    <EditorRows>
      <EditorRow>
        <EditorField label="Query type" htmlFor={`${id}-type`} width={22}>
          <Select
            inputId={`${id}-type`}
            aria-label="Query type"
            options={queryTypeOptions(alerting)}
            value={query.queryType ?? DEFAULT_QUERY_TYPE}
            onChange={({ value }) => isQueryType(value) && changeType(value)}
            width={22}
          />
        </EditorField>
        {has('mode') && <ModeRadio live={live} value={query.mode} onChange={(mode) => set({ mode })} />}
        <AdminSelect value={query.admin} onChange={(admin) => set({ admin })} />
        {has('live') && !alerting && (
          <LiveSwitch
            sentence={info.liveSentence ?? info.sentence}
            value={query.live}
            onChange={(on) => set({ live: on, format: undefined })}
          />
        )}
        {has('running') && !live && <RunningSwitch value={query.running} onChange={(running) => set({ running })} />}
        {has('runningAt') && !live && query.running && (
          <RunningAtSelect value={query.runningAt} onChange={(runningAt) => set({ runningAt })} />
        )}
        {has('step') && <StepFields query={query} alerting={alerting} isOptional={has('of')} onChange={set} />}
        {has('source') && query.mode !== 'global' && (
          <SourceSelect
            overTime={has('step') && !has('of')}
            hasDays={!has('of')}
            value={query.source}
            onChange={(source) => set({ source })}
          />
        )}
        {has('compare') && query.mode !== 'global' && !live && (
          <CompareSelect query={query} alerting={alerting} onChange={set} />
        )}
      </EditorRow>
      <EditorRow>
        <Text variant="bodySmall" color="secondary">
          {live && info.liveSentence ? info.liveSentence : info.sentence}
        </Text>
      </EditorRow>
      <EditorRow>
        <RowFilters datasource={datasource} query={query} lists={info.lists} scope={scope} onChange={set} />
      </EditorRow>
      {has('filters') && (
        <EditorRow>
          <ConditionsEditor
            datasource={datasource}
            conditions={query.filters ?? []}
            queryType={query.queryType}
            onChange={(filters) => set({ filters })}
            scope={scope}
          />
        </EditorRow>
      )}
      <EditorRow>
        <AnswerRow datasource={datasource} query={query} scope={scope} alerting={alerting} onChange={set} />
      </EditorRow>
    </EditorRows>
  );
}

/** Alert rules need numbers or series, which lists of names do not have. */
function queryTypeOptions(alerting: boolean): Option[] {
  return Object.entries(QUERY_TYPES)
    .filter(([, { formats }]) => !alerting || formats.some((format) => ALERTING_FORMATS.includes(format)))
    .map(([value, { label, sentence }]) => ({ value, label, description: sentence }));
}
