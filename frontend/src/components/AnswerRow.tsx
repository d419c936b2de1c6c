import { EditorField } from '@grafana/plugin-ui';
import { MultiSelect, Select } from '@grafana/ui';
import React, { useId } from 'react';
import type { CeemsDataSource } from '../datasource';
import { ALERTING_FORMATS } from '../defaultQuery';
import { asList } from '../interpolation';
import { GROUP_COLUMNS, queryTypeInfo } from '../queryTypes';
import { SuggestionScope } from '../suggestions';
import { CeemsQuery, Format } from '../types';
import { groupedFields, orderOptions } from './fieldOptions';
import { LimitField } from './LimitField';
import { ExactGroupsSwitch } from './QueryFlags';
import { SuggestedValues } from './SuggestedValues';
import { timezoneOptions } from './timezones';
import { toOption, variableOptions } from './useSuggestions';

const FORMATS: Record<Format, { label: string; description: string }> = {
  table: { label: 'Table', description: 'Rows and columns as they are' },
  numeric: {
    label: 'Numbers',
    description: 'Numbers with the other columns as labels: for alert rules and stat panels',
  },
  wide: { label: 'Time series (wide)', description: 'One frame with a column for each series' },
  multi: { label: 'Time series (multi)', description: 'A frame for each series' },
};

interface Props {
  datasource: CeemsDataSource;
  query: CeemsQuery;
  scope: SuggestionScope;
  alerting: boolean;
  onChange: (part: Partial<CeemsQuery>) => void;
}

/** What the answer looks like: columns, groups, order, limit, time zone and format. */
export function AnswerRow({ datasource, query, scope, alerting, onChange }: Props) {
  const id = useId();
  const { parts, formats } = queryTypeInfo(query.queryType);
  const fieldScope = { ...scope, column: query.queryType };
  const offered = alerting ? formats.filter((format) => ALERTING_FORMATS.includes(format)) : formats;
  const formatOptions = offered.map((value) => ({ value: value as string, ...FORMATS[value] }));
  return (
    <>
      <SuggestedValues
        label="Fields"
        tooltip="Columns to show, in this order. A column shows all its keys, COLUMN.KEY one of them."
        kind="fields"
        datasource={datasource}
        values={query.fields}
        scope={fieldScope}
        toOptions={groupedFields}
        placeholder="All columns"
        width={44}
        onChange={(fields) => onChange({ fields })}
      />
      {parts.includes('groupBy') && (
        <EditorField
          label="Group by"
          tooltip={parts.includes('exactGroupBy') ? 'One row for each group.' : 'One series for each group.'}
          htmlFor={`${id}-group`}
        >
          <MultiSelect
            inputId={`${id}-group`}
            aria-label="Group by"
            options={[...GROUP_COLUMNS, ...variableOptions()]}
            value={asList(query.groupBy).map(toOption)}
            onChange={(options) => onChange({ groupBy: options.flatMap(({ value }) => (value ? [value] : [])) })}
            allowCustomValue
            closeMenuOnSelect={false}
            isClearable
            placeholder="None"
            width={26}
          />
        </EditorField>
      )}
      {parts.includes('exactGroupBy') && (
        <ExactGroupsSwitch value={query.exactGroupBy} onChange={(exactGroupBy) => onChange({ exactGroupBy })} />
      )}
      {parts.includes('orderBy') && (
        <SuggestedValues
          label="Order by"
          tooltip="A minus before a name means largest or last first."
          kind="fields"
          datasource={datasource}
          values={query.orderBy}
          scope={fieldScope}
          toOptions={orderOptions}
          placeholder="As stored"
          onChange={(orderBy) => onChange({ orderBy })}
        />
      )}
      {parts.includes('limit') && <LimitField value={query.limit} onChange={(limit) => onChange({ limit })} />}
      <EditorField label="Time zone" tooltip="In which days are counted." htmlFor={`${id}-zone`}>
        <Select
          inputId={`${id}-zone`}
          aria-label="Time zone"
          options={[...variableOptions(), ...timezoneOptions()]}
          value={query.timezone ? toOption(query.timezone) : null}
          onChange={(option) => onChange({ timezone: option?.value })}
          allowCustomValue
          isClearable
          placeholder="Data source's"
          width={20}
        />
      </EditorField>
      <EditorField label="Format" htmlFor={`${id}-format`}>
        <Select
          inputId={`${id}-format`}
          aria-label="Format"
          options={[...formatOptions, ...variableOptions()]}
          value={
            query.format ? (formatOptions.find(({ value }) => value === query.format) ?? toOption(query.format)) : null
          }
          onChange={(option) => onChange({ format: option?.value })}
          isClearable={!alerting}
          placeholder={FORMATS[formats[0] ?? 'table'].label}
          width={20}
        />
      </EditorField>
    </>
  );
}
