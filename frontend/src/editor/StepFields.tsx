import React, { useMemo } from 'react';
import { DASHBOARD_TIMEZONE } from '../query/timezone';
import { CeemsQuery } from '../types';
import { ChoiceSelect } from '../fields/ChoiceSelect';
import { timezoneOptions } from '../fields/timezones';
import { Option } from '../fields/useSuggestions';

const AUTO: Option = {
  value: 'auto',
  label: 'Auto',
  description: 'The shortest step that fits the width of the panel and its interval',
};
const STEPS: Option[] = [
  { value: 'quarter-hour', label: 'Quarter of an hour' },
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
  /** Without a step, the answer is about the whole time range. */
  isOptional: boolean;
  onChange: (part: Partial<CeemsQuery>) => void;
}

/** The length of the steps of a time series, and the time zone of days, weeks and months. */
export function StepFields({ query, alerting, isOptional, onChange }: Props) {
  const zones = useMemo(() => (alerting ? timezoneOptions() : [DASHBOARD, ...timezoneOptions()]), [alerting]);
  const isAuto = (query.step ?? (isOptional ? '' : 'auto')) === 'auto';
  const isWithinDay = query.step === 'hour' || query.step === 'quarter-hour';
  const fromUnits = query.source === 'units' || query.source === 'prorated' || isWithinDay;
  return (
    <>
      <ChoiceSelect
        label="Step"
        tooltip="One value per quarter of an hour, hour, day, week or month. Auto: the shortest of them that fits the width of the panel and its interval (query options)."
        options={[AUTO, ...STEPS]}
        value={query.step}
        onChange={(step) => onChange({ step })}
        placeholder={isOptional ? 'None: whole time range' : 'Auto'}
        width={20}
      />
      {isAuto && (
        <ChoiceSelect
          label="Minimum step"
          tooltip="Auto chooses no shorter step."
          options={STEPS}
          value={query.minStep}
          onChange={(minStep) => onChange({ minStep })}
          placeholder="Quarter of an hour"
          width={20}
        />
      )}
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
