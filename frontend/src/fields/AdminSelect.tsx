import { EditorField } from '@grafana/plugin-ui';
import { Select } from '@grafana/ui';
import React, { useId } from 'react';
import { CeemsQuery } from '../types';

const CHOICES = [
  {
    value: 'false',
    label: 'No',
    description: 'What you may see as yourself: your units, and the usage of your projects',
  },
  { value: 'auto', label: 'Auto', description: 'As an administrator of CEEMS if you are one, else as yourself' },
  { value: 'true', label: 'Yes', description: 'Of all users; an error for those who are no administrators' },
];

interface Props {
  value: CeemsQuery['admin'];
  onChange: (admin: CeemsQuery['admin']) => void;
}

/** Whether to ask as an administrator. */
export function AdminSelect({ value = 'auto', onChange }: Props) {
  const id = useId();
  const text = String(value);
  return (
    <EditorField
      label="As admin"
      tooltip="Whose data to ask for. A dashboard for everybody asks with Auto."
      htmlFor={id}
      width={12}
    >
      <Select
        inputId={id}
        aria-label="As admin"
        options={CHOICES}
        value={CHOICES.find((choice) => choice.value === text) ?? { value: text, label: text }}
        allowCustomValue
        onChange={({ value: next = 'auto' }) => onChange(next === 'true' ? true : next === 'false' ? false : next)}
        width={12}
      />
    </EditorField>
  );
}
