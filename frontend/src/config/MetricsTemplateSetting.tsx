import { Field, TextArea } from '@grafana/ui';
import React, { useId } from 'react';
import { DEFAULT_METRICS_TEMPLATE } from '../links/links';

interface Props {
  value: string | undefined;
  onChange: (value: string) => void;
  disabled?: boolean;
}

/** The PromQL queries of a unit, one per line. */
export function MetricsTemplateSetting({ value = '', onChange, disabled }: Props) {
  const id = useId();
  return (
    <Field
      label="Metrics queries"
      description="PromQL, one query per line. ${uuid} and ${cluster_id} stand for the unit. Empty: the queries shown here."
      htmlFor={id}
    >
      <TextArea
        id={id}
        aria-label="Metrics queries"
        value={value}
        placeholder={DEFAULT_METRICS_TEMPLATE}
        rows={5}
        cols={80}
        disabled={disabled}
        spellCheck={false}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    </Field>
  );
}
