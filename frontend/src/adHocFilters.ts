import { DataFrame, MetricFindValue } from '@grafana/data';
import { FieldKind, Suggestion, SuggestionKind } from './types';

/** Columns whose values the backend suggests by itself. */
const SUGGESTED_COLUMNS: Record<string, SuggestionKind> = {
  cluster_id: 'clusters',
  resource_manager: 'resource-managers',
  project: 'projects',
  username: 'users',
  uuid: 'uuids',
  state: 'states',
};

/** Fields that a filter can be about, in the order in which they are offered. Computed and time columns cannot be filtered. */
const FILTER_KINDS: FieldKind[] = ['identity', 'tag', 'allocation', 'metric'];

const GROUPS: Record<FieldKind, string> = {
  identity: 'Who and what',
  time: 'Times',
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
  return FILTER_KINDS.flatMap((kind) => fields.filter((field) => field.kind === kind));
}

export function toMetricFindValues(values: Suggestion[]): MetricFindValue[] {
  return values.map(({ value, label }) => ({ text: label || value, value }));
}

/** The different values of one column of an answer, in order, without empty ones. */
export function distinctValues(frames: DataFrame[], column: string): string[] {
  const values = frames
    .flatMap((frame) => frame.fields.filter((field) => field.name === column))
    .flatMap((field) => Array.from(field.values));
  const texts = values.filter((value) => value !== null && value !== undefined && value !== '').map(String);
  return [...new Set(texts)].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
}
