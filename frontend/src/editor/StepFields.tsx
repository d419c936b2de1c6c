import React, { useMemo } from 'react';
import { DASHBOARD_TIMEZONE } from '../query/timezone';
import { CeemsQuery } from '../types';
import { ChoiceSelect } from '../fields/ChoiceSelect';
import { timezoneOptions } from '../fields/timezones';
import { Option } from '../fields/useSuggestions';

const STEPS: Option[] = [
  { value: 'hour', label: 'Hour' },
  { value: 'day', label: 'Day' },
  { value: 'week', label: 'Week', description: 'From Monday' },
  { value: 'month', label: 'Month' },
];
const DASHBOARD: Option = {
  value: DASHBOARD_TIMEZONE,
  label: "Dashboard's time zone",
  description: 'The time zone that the dashboard shows',
};

interface Props {
  query: CeemsQuery;
  /** Alert rules have no dashboard. */
  alerting: boolean;
  onChange: (part: Partial<CeemsQuery>) => void;
}

/** The length of the steps of a time series, and the time zone of days, weeks and months. */
export function StepFields({ query, alerting, onChange }: Props) {
  const zones = useMemo(() => (alerting ? timezoneOptions() : [DASHBOARD, ...timezoneOptions()]), [alerting]);
  const fromUnits = query.source === 'units' || query.source === 'prorated' || query.step === 'hour';
  return (
    <>
      <ChoiceSelect
        label="Step"
        tooltip="One value per hour, day, week or month."
        options={STEPS}
        value={query.step}
        onChange={(step) => onChange({ step })}
        placeholder="Day"
        width={14}
      />
      <ChoiceSelect
        label="Time zone"
        tooltip="The time zone of days, weeks and months. In UTC they come from the table daily_usage, which is fast. In other time zones they are computed from units, as are hours."
        options={zones}
        value={query.timezone}
        onChange={(timezone) => onChange({ timezone })}
        placeholder={fromUnits ? "None: data source's" : 'None: UTC'}
        width={30}
      />
    </>
  );
}
