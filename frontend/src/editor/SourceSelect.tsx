import React from 'react';
import { CeemsQuery } from '../types';
import { ChoiceSelect } from '../fields/ChoiceSelect';
import { Option } from '../fields/useSuggestions';

/** What usage is summed from. The first is the default. */
const SUMS: Option[] = [
  {
    value: 'units',
    label: 'Units',
    description:
      'Everything that a unit has used since its start, for units last updated in the time range, as in the API',
  },
  {
    value: 'prorated',
    label: 'Units, prorated',
    description: 'What was used in the time range: each unit counts by the share of its run that is in the range',
  },
  {
    value: 'daily',
    label: 'Daily usage',
    description: 'Totals of the UTC days that start in the time range, from the table daily_usage (fast)',
  },
];
const SERIES: Option[] = [
  {
    value: 'daily',
    label: 'Daily usage',
    description: 'Days, weeks and months in UTC from the table daily_usage (fast); other steps from units',
  },
  {
    value: 'prorated',
    label: 'Units, prorated',
    description: 'All steps from units: in each step, a unit counts by the share of its run that is in the step',
  },
];

interface Props {
  overTime: boolean;
  /** Whether the table daily_usage can answer. */
  hasDays: boolean;
  value: CeemsQuery['source'];
  onChange: (source: CeemsQuery['source']) => void;
}

/** What usage is summed from. */
export function SourceSelect({ overTime, hasDays, value, onChange }: Props) {
  const options = (overTime ? SERIES : SUMS).filter((option) => hasDays || option.value !== 'daily');
  // Over time, a saved query may also have "units", which means the same as "prorated".
  const shown = overTime && value === 'units' ? 'prorated' : value;
  return (
    <ChoiceSelect
      label="Summed from"
      tooltip={
        overTime
          ? 'The daily totals count each day of UTC completely. From units, a step has only what was used in it.'
          : 'For units that run for a long time, such as virtual machines, "Units, prorated" is what was used in the time range.'
      }
      options={options}
      value={shown}
      onChange={onChange}
      placeholder={options[0]?.label ?? ''}
      width={20}
    />
  );
}
