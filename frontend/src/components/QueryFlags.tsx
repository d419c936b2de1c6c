import { EditorField, EditorSwitch } from '@grafana/plugin-ui';
import { RadioButtonGroup, Select } from '@grafana/ui';
import React, { useId } from 'react';
import { CeemsQuery, Mode, Source } from '../types';

const MODES: Array<{ value: Mode; label: string; description: string }> = [
  { value: 'current', label: 'Time range', description: 'Within the time range of the panel' },
  { value: 'global', label: 'All time', description: 'Over everything that the database holds' },
];
const SOURCES: Array<{ value: Source; label: string; description: string }> = [
  { value: 'units', label: 'Units', description: 'Sum the units that were updated within the time range' },
  { value: 'daily', label: 'Daily usage', description: 'Sum the daily totals: fast over long time ranges' },
];

interface Props<T> {
  value: T | undefined;
  onChange: (value: T) => void;
}

/** Within the time range, or over all time. */
export function ModeRadio({ value, onChange }: Props<CeemsQuery['mode']>) {
  return (
    <EditorField label="Period">
      <RadioButtonGroup aria-label="Period" options={MODES} value={(value ?? 'current') as Mode} onChange={onChange} />
    </EditorField>
  );
}

/** Also units that have not ended. */
export function RunningSwitch(props: Props<CeemsQuery['running']>) {
  return <FlagSwitch {...props} label="Running too" tooltip="Also units that have not ended yet." />;
}

/** Group by exactly what is chosen. */
export function ExactGroupsSwitch(props: Props<CeemsQuery['exactGroupBy']>) {
  const tooltip =
    'Without it, each user and project is a group of its own. With it and no groups: one row over everything.';
  return <FlagSwitch {...props} label="Only these groups" tooltip={tooltip} />;
}

function FlagSwitch({ value, onChange, label, tooltip }: Props<boolean | string> & { label: string; tooltip: string }) {
  const id = useId();
  return (
    <EditorField label={label} tooltip={tooltip} htmlFor={id}>
      <EditorSwitch
        id={id}
        aria-label={label}
        value={value === true || value === 'true'}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    </EditorField>
  );
}

/** Which rows usage is summed from. */
export function SourceSelect({ value = 'units', onChange }: Props<CeemsQuery['source']>) {
  const id = useId();
  return (
    <EditorField label="Summed from" htmlFor={id}>
      <Select
        inputId={id}
        aria-label="Summed from"
        options={SOURCES}
        value={SOURCES.find((source) => source.value === value) ?? { value, label: value }}
        allowCustomValue
        onChange={(option) => onChange(option.value)}
        width={16}
      />
    </EditorField>
  );
}
