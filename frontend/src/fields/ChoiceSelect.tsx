import { EditorField } from '@grafana/plugin-ui';
import { Select } from '@grafana/ui';
import React, { useId } from 'react';
import { Option, toOption, variableOptions } from './useSuggestions';

interface Props {
  label: string;
  tooltip?: string;
  options: Option[];
  value: string | undefined;
  /** Undefined if the choice is cleared; the placeholder then shows the default. */
  onChange: (value: string | undefined) => void;
  placeholder: string;
  isClearable?: boolean;
  width?: number;
}

/** A field for one of a few words, for a variable of the dashboard, or for any other text. */
export function ChoiceSelect({ label, tooltip, options, value, onChange, isClearable = true, ...rest }: Props) {
  const id = useId();
  return (
    <EditorField label={label} tooltip={tooltip} htmlFor={id}>
      <Select
        width={20}
        {...rest}
        inputId={id}
        aria-label={label}
        options={[...options, ...variableOptions()]}
        value={value ? (options.find((option) => option.value === value) ?? toOption(value)) : null}
        onChange={(option: Option | null) => onChange(option?.value)}
        allowCustomValue
        isClearable={isClearable}
      />
    </EditorField>
  );
}
