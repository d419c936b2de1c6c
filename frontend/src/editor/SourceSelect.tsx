import React from 'react';
import { CeemsQuery } from '../types';
import { ChoiceSelect } from '../fields/ChoiceSelect';
import { Option } from '../fields/useSuggestions';

/** What usage is summed from; the first is what is taken if none is chosen. */
const SUMS: Option[] = [
  { value: 'units', label: 'Units', description: 'Sum the units that were updated within the time range' },
  { value: 'daily', label: 'Daily usage', description: 'Sum the daily totals: fast over long time ranges' },
];
const SERIES: Option[] = [
  {
    value: 'daily',
    label: 'Daily usage',
    description: 'Days, weeks and months of UTC from the daily totals, which is fast; others from units',
  },
  { value: 'units', label: 'Units', description: 'Never from the daily totals' },
];

interface Props {
  overTime: boolean;
  value: CeemsQuery['source'];
  onChange: (source: CeemsQuery['source']) => void;
}

/** Which rows usage is summed from. */
export function SourceSelect({ overTime, value, onChange }: Props) {
  const options = overTime ? SERIES : SUMS;
  return (
    <ChoiceSelect
      label="Summed from"
      tooltip={
        overTime
          ? 'The daily totals count each day of UTC as a whole. From units, the usage of each is spread evenly over the time that it ran within the time range.'
          : undefined
      }
      options={options}
      value={value}
      onChange={onChange}
      placeholder={options[0]?.label ?? ''}
      width={18}
    />
  );
}
