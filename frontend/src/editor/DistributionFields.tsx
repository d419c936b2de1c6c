import { EditorField } from '@grafana/plugin-ui';
import React, { useCallback, useId } from 'react';
import { groupedFields } from '../fields/fieldOptions';
import { SuggestedSelect } from '../fields/SuggestedSelect';
import { TextField } from '../fields/TextField';
import { SuggestionScope, SuggestionSource } from '../suggestions/suggestions';
import { CeemsQuery, Suggestions } from '../types';

/** Kinds of columns that hold numbers by keys. */
const NUMBERS = ['metric', 'allocation', 'tag'];
/** Further fields that are distributed. */
const FIELDS = ['elapsed', 'wait_seconds'];
const TOTALS = /^total_(energy_usage_kwh|emissions_gms)\./;
const MOST_FIELDS = 1000;

interface Props {
  datasource: SuggestionSource;
  query: CeemsQuery;
  scope: SuggestionScope;
  onChange: (part: Partial<CeemsQuery>) => void;
}

/** The field whose values are counted, and the bounds of buckets. */
export function DistributionFields({ datasource, query, scope, onChange }: Props) {
  const id = useId();
  const load = useCallback(
    (prefix: string) => datasource.suggest('fields', { ...scope, column: 'units', limit: MOST_FIELDS, prefix }),
    [datasource, scope]
  );
  return (
    <>
      <EditorField
        label="Distribution of"
        tooltip="The field of units whose values are counted: one key of a column, the waiting time or the run time."
        htmlFor={id}
      >
        <SuggestedSelect
          name="Distribution of"
          inputId={id}
          load={load}
          toOptions={numberOptions}
          values={query.of ? [query.of] : []}
          placeholder="Field"
          width={44}
          onChange={([of]) => onChange({ of })}
        />
      </EditorField>
      {query.format !== 'quantiles' && (
        <TextField
          label="Bounds"
          tooltip="Numbers in ascending order, with commas between them. Each starts a bucket. None: logarithmic buckets."
          placeholder="Logarithmic"
          width={26}
          value={(query.bounds ?? []).join(', ')}
          check={(text) =>
            isAscending(numbersOf(text)) ? undefined : 'Numbers in ascending order, such as 1, 10, 100'
          }
          onCommit={(text) => onChange({ bounds: text === '' ? undefined : numbersOf(text) })}
        />
      )}
    </>
  );
}

/** The fields that have a distribution. */
function numberOptions({ values, warnings }: Suggestions) {
  const numbers = values.filter(
    ({ value, kind }) =>
      FIELDS.includes(value) || TOTALS.test(value) || (value.includes('.') && NUMBERS.includes(kind ?? ''))
  );
  return groupedFields({ values: numbers, warnings });
}

function numbersOf(text: string): number[] {
  return text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part)));
}

function isAscending(numbers: number[]): boolean {
  return numbers.every(
    (number, index) => Number.isFinite(number) && (index === 0 || number > (numbers[index - 1] ?? 0))
  );
}
