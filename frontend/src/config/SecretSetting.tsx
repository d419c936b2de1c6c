import { Field, SecretInput, SecretTextArea } from '@grafana/ui';
import React, { useId } from 'react';

const WIDTH = 60;

interface Props {
  label: string;
  description: string;
  placeholder?: string;
  /** What was typed since the settings were last saved. */
  value: string | undefined;
  /** Whether a secret is saved; Grafana never shows it again. */
  saved: boolean;
  disabled?: boolean;
  /** The number of visible lines. The text of a single line is hidden. */
  rows?: number;
  onChange: (value: string) => void;
  /** Removes the saved secret, so that another can be typed. */
  onReset: () => void;
}

/** A secret text, which the browser sends but never receives. */
export function SecretSetting({ label, description, value, saved, rows, onChange, ...rest }: Props) {
  const id = useId();
  const shared = { id, 'aria-label': label, value: value ?? '', isConfigured: saved, ...rest };
  return (
    <Field label={label} description={description} htmlFor={id}>
      {rows ? (
        <SecretTextArea
          {...shared}
          rows={rows}
          cols={WIDTH}
          spellCheck={false}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      ) : (
        <SecretInput
          {...shared}
          width={WIDTH}
          autoComplete="off"
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}
