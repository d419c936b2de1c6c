import { EditorField } from '@grafana/plugin-ui';
import { MultiSelect } from '@grafana/ui';
import React, { useCallback, useId } from 'react';
import { asList } from '../query/interpolation';
import { SuggestionScope, SuggestionSource } from '../suggestions/suggestions';
import { SuggestionKind, Suggestions } from '../types';
import { Option, toOption, useSuggestions } from './useSuggestions';

interface Props {
  datasource: SuggestionSource;
  label: string;
  tooltip?: string;
  kind: SuggestionKind;
  values: string[] | undefined;
  onChange: (values: string[]) => void;
  /** What narrows the suggestions, besides what is typed. */
  scope?: SuggestionScope;
  placeholder?: string;
  width?: number;
  /** How to show the suggestions, by default each with its label. */
  toOptions?: (suggestions: Suggestions) => Option[];
}

/** A field for several values. It searches while the user types, and accepts dashboard variables and any other text. */
export function SuggestedValues(props: Props) {
  const { datasource, label, tooltip, kind, values, onChange, scope, placeholder = 'All', width = 26 } = props;
  const id = useId();
  const load = useCallback(
    (prefix: string) => datasource.suggest(kind, { ...scope, prefix }),
    [datasource, kind, scope]
  );
  const { error, ...select } = useSuggestions(load, props.toOptions);
  return (
    <EditorField label={label} tooltip={tooltip} htmlFor={id} invalid={error !== undefined} error={error}>
      <MultiSelect
        {...select}
        inputId={id}
        aria-label={label}
        value={asList(values).map(toOption)}
        onChange={(options) => onChange(options.flatMap(({ value }) => (value ? [value] : [])))}
        allowCustomValue
        allowCreateWhileLoading
        closeMenuOnSelect={false}
        isClearable
        placeholder={placeholder}
        noOptionsMessage="Nothing found. Type a value or a $variable."
        width={width}
      />
    </EditorField>
  );
}
