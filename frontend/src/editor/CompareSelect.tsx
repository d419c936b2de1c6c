import React from 'react';
import { DASHBOARD_TIMEZONE } from '../query/timezone';
import { CeemsQuery } from '../types';
import { ChoiceSelect } from '../fields/ChoiceSelect';
import { Option } from '../fields/useSuggestions';

const PERIODS: Option[] = [
  {
    value: 'previous',
    label: 'Time range before',
    description: 'A month with the month before, a week with the week before',
  },
  { value: 'year', label: 'A year earlier' },
];

interface Props {
  query: CeemsQuery;
  /** Alert rules have no dashboard. */
  alerting: boolean;
  onChange: (part: Partial<CeemsQuery>) => void;
}

/** The earlier time range that the answer is compared with. Days and months are those of the dashboard by default. */
export function CompareSelect({ query, alerting, onChange }: Props) {
  const zone = query.timezone ?? (alerting ? undefined : DASHBOARD_TIMEZONE);
  return (
    <ChoiceSelect
      label="Compare with"
      tooltip="Shows the values of an earlier time range too, and in tables and numbers by how many percent they changed."
      options={PERIODS}
      value={query.compare}
      onChange={(compare) => onChange(compare ? { compare, timezone: zone } : { compare })}
      placeholder="Nothing"
      width={24}
    />
  );
}
