import React from 'react';
import { ALERTING_FORMATS } from '../query/defaultQuery';
import { isLive, LIVE_ROWS } from '../live/live';
import { DEFAULT_QUERY_TYPE, queryTypeInfo } from '../query/queryTypes';
import { SuggestionScope, SuggestionSource } from '../suggestions/suggestions';
import { CeemsQuery, Format } from '../types';
import { ChoiceSelect } from '../fields/ChoiceSelect';
import { groupedFields, groupOptions } from '../fields/fieldOptions';
import { OrderEditor } from '../fields/OrderEditor';
import { asList } from '../query/interpolation';
import { LimitField } from '../fields/LimitField';
import { DistributionFields } from './DistributionFields';
import { LegendSelect } from './LegendSelect';
import { ApiGroupsSwitch } from './QueryFlags';
import { SuggestedValues } from '../fields/SuggestedValues';

const FORMATS: Record<Format, { label: string; description: string }> = {
  table: { label: 'Table', description: 'Rows and columns as they are' },
  numeric: {
    label: 'Numbers',
    description: 'Numbers, labelled with the other columns; for alert rules and stat panels',
  },
  wide: { label: 'Time series (wide)', description: 'One frame with a column for each series' },
  multi: { label: 'Time series (multi)', description: 'One frame for each series' },
  histogram: { label: 'Histogram', description: 'The number of units in each bucket' },
  heatmap: { label: 'Heatmap', description: 'The number of units in each bucket and step; needs a step' },
  quantiles: { label: 'Quantiles', description: 'Median, 90, 95 and 99 percent; series if there is a step' },
};

/** More than any query type has columns and keys, so that the list is always complete. */
const MOST_FIELDS = 1000;

interface Props {
  datasource: SuggestionSource;
  query: CeemsQuery;
  scope: SuggestionScope;
  alerting: boolean;
  onChange: (part: Partial<CeemsQuery>) => void;
}

/** The form of the answer: columns, groups, order, limit and format. */
export function AnswerRow({ datasource, query, scope, alerting, onChange }: Props) {
  const live = isLive(query);
  const isExact = query.exactGroupBy !== false && query.exactGroupBy !== 'false';
  const { parts, formats } = queryTypeInfo(query.queryType);
  const fieldScope = { ...scope, column: query.queryType ?? DEFAULT_QUERY_TYPE, limit: MOST_FIELDS };
  const isOffered = (format: Format) => (alerting ? ALERTING_FORMATS.includes(format) : !live || format === 'table');
  const offered = formats.filter(isOffered);
  const formatOptions = offered.map((value) => ({ value: value as string, ...FORMATS[value] }));
  return (
    <>
      {parts.includes('of') ? (
        <DistributionFields datasource={datasource} query={query} scope={scope} onChange={onChange} />
      ) : (
        <SuggestedValues
          label="Fields"
          tooltip="Columns to show, in this order. COLUMN shows all its keys, COLUMN.KEY only one."
          kind="fields"
          datasource={datasource}
          values={query.fields}
          scope={fieldScope}
          toOptions={groupedFields}
          placeholder={query.queryType === 'usage-over-time' ? 'Total energy' : 'All columns'}
          width={44}
          onChange={(fields) => onChange({ fields })}
        />
      )}
      {parts.includes('groupBy') && (
        <SuggestedValues
          label="Group by"
          tooltip={`${
            parts.includes('exactGroupBy') ? 'One row for each group. None: one row.' : 'One series for each group.'
          } Tags, allocation, states and names need usage that is summed from units.`}
          kind="fields"
          datasource={datasource}
          values={query.groupBy}
          scope={{ ...scope, column: 'units', limit: MOST_FIELDS }}
          toOptions={groupOptions}
          placeholder={parts.includes('exactGroupBy') && !isExact ? 'User, project' : 'None'}
          onChange={(groupBy) => onChange({ groupBy })}
        />
      )}
      {parts.includes('exactGroupBy') && (
        <ApiGroupsSwitch value={query.exactGroupBy} onChange={(exactGroupBy) => onChange({ exactGroupBy })} />
      )}
      {parts.includes('orderBy') && (
        <OrderEditor
          datasource={datasource}
          orders={asList(query.orderBy)}
          scope={fieldScope}
          onChange={(orderBy) => onChange({ orderBy })}
        />
      )}
      {parts.includes('limit') && (
        <LimitField
          value={query.limit}
          onChange={(limit) => onChange({ limit })}
          placeholder={live ? String(LIVE_ROWS) : undefined}
        />
      )}
      <ChoiceSelect
        label="Format"
        width={26}
        options={formatOptions}
        value={query.format}
        onChange={(format) => onChange({ format })}
        isClearable={!alerting}
        placeholder={FORMATS[formats[0] ?? 'table'].label}
      />
      {!alerting && <LegendSelect value={query.legend} onChange={(legend) => onChange({ legend })} />}
    </>
  );
}
