import React from 'react';
import { CeemsQuery } from '../types';
import { TextField } from './TextField';

interface Props {
  value: CeemsQuery['limit'];
  onChange: (limit: CeemsQuery['limit']) => void;
  placeholder?: string;
  tooltip?: string;
}

/** A number of rows above 0, or a variable. Empty means the default limit. */
export function LimitField({ value, onChange, placeholder = 'Row limit', tooltip }: Props) {
  return (
    <TextField
      label="Limit"
      tooltip={tooltip ?? 'The maximum number of rows. A notice says when rows were left out.'}
      placeholder={placeholder}
      value={value === undefined ? '' : String(value)}
      check={(text) => (/^[1-9]\d*$|[$[]/.test(text) ? undefined : 'A whole number above 0, or a variable')}
      onCommit={(text) => onChange(text === '' ? undefined : /^\d+$/.test(text) ? Number(text) : text)}
    />
  );
}
