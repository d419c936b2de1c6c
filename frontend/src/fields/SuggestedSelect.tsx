import { MultiSelect, Select } from '@grafana/ui';
import React from 'react';
import { Suggestions } from '../types';
import { ONLY_FIELDS, Option, toOption, useSuggestions } from './useSuggestions';

interface Props {
  /** The accessible name. */
  name: string;
  inputId?: string;
  load: (prefix: string) => Promise<Suggestions>;
  toOptions?: (suggestions: Suggestions) => Option[];
  /** None, one, or several if `isMulti`. */
  values: string[];
  onChange: (values: string[]) => void;
  isMulti?: boolean;
  /** Whether the values are names of fields; others are not taken, except variables. */
  isField?: boolean;
  placeholder?: string;
  width?: number;
}

/** A drop-down without a label. It searches while the user types, and accepts variables and, unless for fields, any other text. */
export function SuggestedSelect({ name, load, toOptions, values, onChange, isMulti, isField, ...rest }: Props) {
  const { error, ...select } = useSuggestions(load, toOptions);
  const common = {
    ...select,
    ...rest,
    'aria-label': name,
    allowCustomValue: true,
    allowCreateWhileLoading: true,
    isClearable: true,
    invalid: error !== undefined,
    noOptionsMessage: 'Nothing found. Type a value or a $variable.',
    ...(isField ? ONLY_FIELDS : {}),
    ...(error ? { noOptionsMessage: error } : {}),
  };
  return isMulti ? (
    <MultiSelect
      {...common}
      value={values.map(toOption)}
      closeMenuOnSelect={false}
      onChange={(options) => onChange(options.flatMap(({ value }) => (value ? [value] : [])))}
    />
  ) : (
    <Select
      {...common}
      value={values[0] === undefined ? null : toOption(values[0])}
      onChange={(option: Option | null) => onChange(option?.value ? [option.value] : [])}
    />
  );
}
