import { EditorField } from '@grafana/plugin-ui';
import { Button, Select, Stack } from '@grafana/ui';
import React, { useCallback, useMemo } from 'react';
import { fieldsToFilterBy } from '../suggestions/adHocFilters';
import { DEFAULT_QUERY_TYPE } from '../query/queryTypes';
import { SuggestionScope, SuggestionSource } from '../suggestions/suggestions';
import { Condition, Operator, Suggestions } from '../types';
import { groupedFields } from './fieldOptions';
import { SuggestedSelect } from './SuggestedSelect';

const OPERATORS: Array<{ value: Operator; label: string; description: string }> = [
  { value: '=', label: '=', description: 'is' },
  { value: '!=', label: '!=', description: 'is not' },
  { value: '=|', label: '=|', description: 'is one of (a list, or a variable with several values)' },
  { value: '!=|', label: '!=|', description: 'is none of' },
  { value: '=~', label: '=~', description: 'matches a regular expression, as a whole' },
  { value: '!~', label: '!~', description: 'does not match a regular expression' },
  { value: '<', label: '<', description: 'is less than' },
  { value: '<=', label: '<=', description: 'is at most' },
  { value: '>', label: '>', description: 'is more than' },
  { value: '>=', label: '>=', description: 'is at least' },
];

interface Props {
  datasource: SuggestionSource;
  conditions: Condition[];
  /** The query type whose columns the conditions use. */
  queryType: string | undefined;
  onChange: (conditions: Condition[]) => void;
  scope: SuggestionScope;
}

/** Further conditions on columns: a row for each, with a column, an operator and a value. */
export function ConditionsEditor({ datasource, conditions, queryType, onChange, scope }: Props) {
  const change = (index: number, part: Partial<Condition>) =>
    onChange(conditions.map((condition, at) => (at === index ? { ...condition, ...part } : condition)));
  return (
    <EditorField
      label="Conditions"
      tooltip="All conditions must be true. A condition without a column or a value is ignored."
    >
      <Stack direction="column" gap={0.5} alignItems="flex-start">
        {conditions.map((condition, index) => (
          <ConditionRow
            key={index}
            name={`Condition ${index + 1}`}
            datasource={datasource}
            condition={condition}
            queryType={queryType}
            scope={scope}
            onChange={(part) => change(index, part)}
            onRemove={() => onChange(conditions.filter((_, at) => at !== index))}
          />
        ))}
        <Button
          variant="secondary"
          size="sm"
          icon="plus"
          aria-label="Add a condition"
          onClick={() => onChange([...conditions, { key: '', operator: '=' }])}
        >
          Condition
        </Button>
      </Stack>
    </EditorField>
  );
}

interface RowProps {
  name: string;
  datasource: SuggestionSource;
  condition: Condition;
  queryType: string | undefined;
  scope: SuggestionScope;
  onChange: (part: Partial<Condition>) => void;
  onRemove: () => void;
}

function ConditionRow({ name, datasource, condition, queryType, scope, onChange, onRemove }: RowProps) {
  const { key, operator, value } = condition;
  const loadColumns = useCallback(
    async (search: string) =>
      filterableColumns(
        await datasource.suggest('fields', { ...scope, column: queryType ?? DEFAULT_QUERY_TYPE, search })
      ),
    [datasource, queryType, scope]
  );
  const loadValues = useCallback(
    async (prefix: string): Promise<Suggestions> =>
      key ? datasource.suggestColumn(key, { ...scope, prefix }) : { values: [], warnings: [] },
    [datasource, key, scope]
  );
  const isList = operator === '=|' || operator === '!=|';
  const values = useMemo(() => (value === undefined ? [] : Array.isArray(value) ? value : [String(value)]), [value]);
  return (
    <Stack direction="row" gap={0.5} wrap="wrap">
      <SuggestedSelect
        name={`${name}: column`}
        load={loadColumns}
        toOptions={groupedFields}
        values={key ? [key] : []}
        onChange={([column]) => onChange({ key: column ?? '' })}
        placeholder="Column"
        width={28}
        isField
      />
      <Select
        aria-label={`${name}: operator`}
        options={OPERATORS}
        value={operator}
        onChange={({ value: next = '=' }) => onChange({ operator: next, value: fit(values, next) })}
        width={10}
      />
      <SuggestedSelect
        name={`${name}: value`}
        load={loadValues}
        isMulti={isList}
        values={values}
        onChange={(next) => onChange({ value: isList ? next : next[0] })}
        placeholder="Value"
        width={28}
      />
      <Button aria-label={`Remove ${name.toLowerCase()}`} icon="times" variant="secondary" onClick={onRemove} />
    </Stack>
  );
}

/** The values in the form that an operator requires. */
function fit(values: string[], operator: string): Condition['value'] {
  return operator === '=|' || operator === '!=|' ? values : values[0];
}

function filterableColumns({ values, warnings }: Suggestions): Suggestions {
  return { values: fieldsToFilterBy(values), warnings };
}
