import React from 'react';
import { ChoiceSelect } from '../fields/ChoiceSelect';
import { Option } from '../fields/useSuggestions';

const LEGENDS: Option[] = [
  { value: 'auto', label: 'Auto', description: 'Groups, and metrics in words with their units' },
  { value: 'names', label: 'Names of columns', description: 'As the database has them, with labels' },
];

interface Props {
  value: string | undefined;
  onChange: (legend: string | undefined) => void;
}

/** The names under which fields are shown: one of two ways, or a template. */
export function LegendSelect({ value, onChange }: Props) {
  return (
    <ChoiceSelect
      label="Legend"
      tooltip="The names of series and columns. Or type a template, such as {{project}} {{metric}}: {{metric}} is the metric in words, {{field}} the name of the column, {{refId}} the letter of the query, and each group has its own name."
      options={LEGENDS}
      value={value}
      onChange={onChange}
      placeholder="Auto"
      width={26}
    />
  );
}
