import { MetricFindValue } from '@grafana/data';
import { FieldKind, Suggestion, SuggestionKind } from '../types';

/** Columns whose values the backend suggests by itself. */
const SUGGESTED_COLUMNS: Record<string, SuggestionKind> = {
  cluster_id: 'clusters',
  resource_manager: 'resource-managers',
  project: 'projects',
  username: 'users',
  uuid: 'uuids',
  state: 'states',
};

/** Fields that a filter can use, in the order of the list. Computed and time columns cannot be filtered. */
const FILTER_KINDS: FieldKind[] = ['identity', 'tag', 'allocation', 'metric'];

const GROUPS: Record<FieldKind, string> = {
  identity: 'Who and what',
  time: 'Times',
  count: 'Counts',
  metric: 'Measured',
  derived: 'Computed',
  allocation: 'Allocation',
  tag: 'Tags',
};

export function groupOfField(field: Suggestion): string {
  return field.kind ? GROUPS[field.kind] : 'Other';
}

export function suggestionKindOfColumn(column: string): SuggestionKind | undefined {
  return Object.hasOwn(SUGGESTED_COLUMNS, column) ? SUGGESTED_COLUMNS[column] : undefined;
}

export function fieldsToFilterBy(fields: Suggestion[]): Suggestion[] {
  // A condition on a column with keys must name one of them.
  const filterable = fields.filter(({ kind, value }) => kind === 'identity' || value.includes('.'));
  return FILTER_KINDS.flatMap((kind) => filterable.filter((field) => field.kind === kind));
}

export function toMetricFindValues(values: Suggestion[]): MetricFindValue[] {
  return values.map(({ value, label }) => ({ text: label || value, value }));
}
