import { SelectableValue } from '@grafana/data';
import { getTemplateSrv } from '@grafana/runtime';
import { InputActionMeta } from '@grafana/ui';
import { useCallback, useEffect, useRef, useState } from 'react';
import { Suggestions } from '../types';

/** Typing waits this long before the backend is asked, in milliseconds. */
const TYPING_PAUSE = 250;

export type Option = SelectableValue<string>;

export interface SuggestedOptions {
  options: Option[];
  isLoading: boolean;
  /** Why there are no suggestions. */
  error?: string;
  onOpenMenu: () => void;
  onInputChange: (text: string, action: InputActionMeta) => void;
  filterOption: (option: Option, text: string) => boolean;
}

/**
 * Options of a drop-down, requested when it opens and while the user types; the newest answer wins. The dashboard's template
 * variables come first.
 *
 * @param load asks for the values that fit a text
 * @param toOptions shows the values, by default as they are
 */
export function useSuggestions(
  load: (prefix: string) => Promise<Suggestions>,
  toOptions: (suggestions: Suggestions) => Option[] = plainOptions
): SuggestedOptions {
  const [suggestions, setSuggestions] = useState<Suggestions>({ values: [], warnings: [] });
  const [isLoading, setLoading] = useState(false);
  const [error, setError] = useState<string>();
  const asked = useRef(0);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  useEffect(
    () => () => {
      clearTimeout(timer.current);
      asked.current = Infinity;
    },
    []
  );

  const ask = useCallback(
    (prefix: string, pause: number) => {
      clearTimeout(timer.current);
      const ticket = ++asked.current;
      setLoading(true);
      timer.current = setTimeout(() => {
        load(prefix).then(
          (answer) => {
            if (ticket === asked.current) {
              setSuggestions(answer);
              setError(undefined);
              setLoading(false);
            }
          },
          (reason: unknown) => {
            if (ticket === asked.current) {
              setError(reason instanceof Error ? reason.message : String(reason));
              setLoading(false);
            }
          }
        );
      }, pause);
    },
    [load]
  );

  const notes = suggestions.warnings.map((text): Option => ({ label: text, value: text, isDisabled: true }));
  return {
    options: [...variableOptions(), ...toOptions(suggestions), ...notes],
    isLoading,
    error,
    filterOption: hasWords,
    onOpenMenu: () => ask('', 0),
    onInputChange: (text, { action }) => {
      if (action === 'input-change') {
        ask(text, TYPING_PAUSE);
      }
    },
  };
}

/** Whether each word of a text is in the label, the value or the description of an option. Hints and new values always fit. */
function hasWords(option: Option, text: string): boolean {
  // Grafana's type says that it gets the option, but it is inside of what react-select hands over.
  const { label, value, description, isDisabled, __isNew__: isNew } = (option.data ?? option) as Option;
  const known = `${label} ${value} ${description ?? ''}`.toLowerCase();
  const words = text.toLowerCase().split(/\s+/);
  return Boolean(isDisabled || isNew) || words.every((word) => known.includes(word));
}

/** Whether a text has a template variable. */
function hasVariable(text: string): boolean {
  return text.includes('$') || text.includes('[[');
}

/** What a drop-down says and takes whose values are names of fields: a name that does not exist is an error, so only variables. */
export const ONLY_FIELDS = {
  isValidNewOption: hasVariable,
  noOptionsMessage: 'Nothing found. Type a part of a name or description, or a $variable.',
};

/** Values with their labels, and with descriptions where they have one. */
export function plainOptions({ values }: Suggestions): Option[] {
  return values.map(({ value, label, description }) => ({ value, label: label || value, description }));
}

/** The dashboard's template variables as values. */
export function variableOptions(): Option[] {
  return getTemplateSrv()
    .getVariables()
    .map(({ name, label }) => ({
      value: `$${name}`,
      label: `$${name}`,
      description: label || 'Dashboard variable',
    }));
}

/** A stored value as the select shows it. */
export function toOption(value: string): Option {
  return { value, label: value };
}
