import { EditorField } from '@grafana/plugin-ui';
import { MultiSelect } from '@grafana/ui';
import React, { useCallback, useId } from 'react';
import { asList } from '../query/interpolation';
import { SuggestionScope, SuggestionSource } from '../suggestions/suggestions';
import { SuggestionKind, Suggestions } from '../types';
import { ONLY_FIELDS, Option, toOption, useSuggestions } from './useSuggestions';

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

/** A field for several values. It searches while the user types, and accepts variables and, unless for fields, any other text. */
export function SuggestedValues(props: Props) {
  const { datasource, label, tooltip, kind, values, onChange, scope, placeholder = 'All', width = 26 } = props;
  const id = useId();
  const isField = kind === 'fields';
  const load = useCallback(
    (text: string) => datasource.suggest(kind, { ...scope, [isField ? 'search' : 'prefix']: text }),
    [datasource, kind, scope, isField]
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
        {...(isField ? ONLY_FIELDS : { noOptionsMessage: 'Nothing found. Type a value or a $variable.' })}
        width={width}
      />
    </EditorField>
  );
}
