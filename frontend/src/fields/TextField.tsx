import { EditorField } from '@grafana/plugin-ui';
import { Input } from '@grafana/ui';
import React, { useId, useState } from 'react';

interface Props {
  label: string;
  tooltip?: string;
  value: string;
  /** Called with the trimmed text when the user leaves the field or presses Enter. */
  onCommit: (text: string) => void;
  placeholder?: string;
  width?: number;
  /** Says what is wrong with a text; undefined if nothing is. */
  check?: (text: string) => string | undefined;
}

/** A text field of the query editor that changes the query once, not with every keystroke. */
export function TextField({ label, tooltip, value, onCommit, placeholder, width = 12, check }: Props) {
  const id = useId();
  const [text, setText] = useState(value);
  const [seen, setSeen] = useState(value);
  if (seen !== value) {
    setSeen(value);
    setText(value);
  }
  const error = text.trim() === '' ? undefined : check?.(text.trim());
  const commit = () => {
    if (text.trim() !== value && error === undefined) {
      onCommit(text.trim());
    }
  };
  return (
    <EditorField label={label} tooltip={tooltip} htmlFor={id} invalid={error !== undefined} error={error}>
      <Input
        id={id}
        aria-label={label}
        value={text}
        placeholder={placeholder}
        width={width}
        onChange={(event) => setText(event.currentTarget.value)}
        onBlur={commit}
        onKeyDown={(event) => {
          if (event.key === 'Enter') {
            commit();
          }
        }}
      />
    </EditorField>
  );
}
