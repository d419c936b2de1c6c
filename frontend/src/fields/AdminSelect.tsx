import { EditorField } from '@grafana/plugin-ui';
import { Select } from '@grafana/ui';
import React, { useId } from 'react';
import { CeemsQuery } from '../types';

const CHOICES = [
  {
    value: 'false',
    label: 'No',
    description: 'Your own units, and the usage of your projects',
  },
  { value: 'auto', label: 'Auto', description: 'As an administrator of CEEMS if you are one, otherwise as yourself' },
  { value: 'true', label: 'Yes', description: 'Data of all users; an error for anybody who is not an administrator' },
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
      tooltip="Whose data to query. Choose Auto in dashboards for everybody."
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
