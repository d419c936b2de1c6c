import { DataSourceInstanceSettings } from '@grafana/data';
import { getDataSourceSrv } from '@grafana/runtime';
import { Field, Input, Select } from '@grafana/ui';
import React, { useId } from 'react';
import { timezoneOptions } from '../fields/timezones';
import { toOption } from '../fields/useSuggestions';

const WIDTH = 60;

interface SettingProps<T> {
  label: string;
  /** Help text below the label. */
  description: string;
  value: T | undefined;
  onChange: (value: T) => void;
  disabled?: boolean;
}

interface TextSettingProps extends SettingProps<string> {
  placeholder?: string;
  required?: boolean;
  /** Returns what is wrong with a text, or undefined. */
  check?: (text: string) => string | undefined;
}

/** A setting that is a line of text. */
export function TextSetting({
  label,
  description,
  value = '',
  onChange,
  disabled,
  placeholder,
  required,
  check,
}: TextSettingProps) {
  const id = useId();
  const error = value === '' ? undefined : check?.(value);
  return (
    <Field
      label={label}
      description={description}
      htmlFor={id}
      required={required}
      invalid={Boolean(error)}
      error={error}
    >
      <Input
        id={id}
        aria-label={label}
        value={value}
        placeholder={placeholder}
        required={required}
        disabled={disabled}
        width={WIDTH}
        spellCheck={false}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    </Field>
  );
}

/** A setting with a few choices. */
export function ChoiceSetting<T extends string>(
  props: SettingProps<T> & { choices: Array<{ value: T; label: string; description: string }> }
) {
  const { label, description, value, onChange, disabled, choices } = props;
  const id = useId();
  return (
    <Field label={label} description={description} htmlFor={id}>
      <Select
        inputId={id}
        aria-label={label}
        options={choices}
        value={choices.find((choice) => choice.value === value)}
        disabled={disabled}
        width={WIDTH}
        onChange={(option) => option.value !== undefined && onChange(option.value)}
      />
    </Field>
  );
}

/** A setting that is a time zone by its IANA name. */
export function ZoneSetting({ label, description, value, onChange, disabled }: SettingProps<string>) {
  const id = useId();
  return (
    <Field label={label} description={description} htmlFor={id}>
      <Select
        inputId={id}
        aria-label={label}
        options={timezoneOptions()}
        value={value ? toOption(value) : null}
        allowCustomValue
        isClearable
        placeholder="From the rows"
        disabled={disabled}
        width={WIDTH}
        onChange={(option) => onChange(option?.value ?? '')}
      />
    </Field>
  );
}

/** A setting that holds the uid of another data source; empty for none. */
export function DataSourceSetting(
  props: SettingProps<string> & { isOfKind: (settings: DataSourceInstanceSettings) => boolean }
) {
  const { label, description, value, onChange, disabled, isOfKind } = props;
  const id = useId();
  const sources = getDataSourceSrv().getList({ filter: isOfKind });
  const options = sources.map(({ name, uid, meta }) => ({ label: name, value: uid, imgUrl: meta.info.logos.small }));
  const current =
    value && (options.find((option) => option.value === value) ?? { label: `${value} (not found)`, value });
  return (
    <Field label={label} description={description} htmlFor={id}>
      <Select
        inputId={id}
        aria-label={label}
        options={options}
        value={current || null}
        isClearable
        placeholder="None"
        noOptionsMessage="There is no such data source yet."
        disabled={disabled}
        width={WIDTH}
        onChange={(option) => onChange(option?.value ?? '')}
      />
    </Field>
  );
}
