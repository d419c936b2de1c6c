import { AbstractLabelMatcher, AbstractLabelOperator, AbstractQuery } from '@grafana/data';
import { DataQuery } from '@grafana/schema';
import { asList } from './interpolation';
import { changeQueryType, isQueryType } from './queryTypes';
import { CeemsQuery, ListFilter } from '../types';

/** Labels of CEEMS metrics (and common words for them) and the list that says the same here. */
const LISTS_OF_LABELS: Record<string, ListFilter> = {
  uuid: 'uuids',
  cluster_id: 'clusters',
  cluster: 'clusters',
  manager: 'resourceManagers',
  resource_manager: 'resourceManagers',
  project: 'projects',
  account: 'projects',
  user: 'users',
  username: 'users',
  state: 'states',
};
const COLUMNS: Record<ListFilter, string> = {
  uuids: 'uuid',
  clusters: 'cluster_id',
  resourceManagers: 'resource_manager',
  projects: 'project',
  users: 'username',
  states: 'state',
};

/** A query of metrics or logs about units becomes a query of those units; labels that say nothing about units are left out. */
export function fromAbstractQuery({ refId, labelMatchers }: AbstractQuery): CeemsQuery {
  const query: CeemsQuery = { refId, queryType: 'units', running: true };
  for (const matcher of labelMatchers) {
    const list = Object.hasOwn(LISTS_OF_LABELS, matcher.name) ? LISTS_OF_LABELS[matcher.name] : undefined;
    const values = alternatives(matcher);
    if (list === undefined || values === undefined) {
      continue;
    }
    if (matcher.operator === AbstractLabelOperator.Equal || matcher.operator === AbstractLabelOperator.EqualRegEx) {
      query[list] = [...new Set([...asList(query[list]), ...values])];
    } else {
      query.filters = [...(query.filters ?? []), { key: COLUMNS[list], operator: '!=|', value: values }];
    }
  }
  return query;
}

/** The restrictions of a query on units, as labels of CEEMS metrics. */
export function toAbstractQuery(query: CeemsQuery): AbstractQuery {
  const labels = { uuid: query.uuids, manager: query.resourceManagers };
  const labelMatchers = Object.entries(labels).flatMap(([name, list]): AbstractLabelMatcher[] => {
    const values = asList(list);
    if (values.length === 0) {
      return [];
    }
    return values.length === 1
      ? [{ name, operator: AbstractLabelOperator.Equal, value: values.join('') }]
      : [{ name, operator: AbstractLabelOperator.EqualRegEx, value: values.map(escapeRegex).join('|') }];
  });
  return { refId: query.refId, labelMatchers };
}

/**
 * A query of a data source that reads the REST API of CEEMS becomes ours. Others start anew, with their letter and whether they
 * are hidden.
 */
export function importQuery(query: DataQuery): CeemsQuery {
  const base: CeemsQuery = { refId: query.refId, queryType: 'units', ...(query.hide && { hide: true }) };
  const url = (query as { url?: unknown }).url;
  if (typeof url !== 'string') {
    return base;
  }
  const [path = '', search = ''] = url.split('?');
  const parts = path.split('/').filter((part) => part !== '');
  const admin = parts.at(-1) === 'admin';
  const words = admin ? parts.slice(0, -1) : parts;
  const last = words.at(-1);
  const mode = last === 'current' || last === 'global' ? last : undefined;
  const queryType = mode ? words.at(-2) : last;
  if (!isQueryType(queryType)) {
    return base;
  }
  const next: CeemsQuery = { ...base, queryType, ...(mode && { mode }), ...(admin && { admin: true }) };
  const params = [...urlParams(search), ...infinityParams(query)];
  const all = (name: string) => params.filter(([key, value]) => key === name && value !== '').map(([, value]) => value);
  const lists: Array<[string, 'clusters' | 'projects' | 'users' | 'uuids' | 'fields' | 'groupBy']> = [
    ['cluster_id', 'clusters'],
    ['project', 'projects'],
    ['user', 'users'],
    ['uuid', 'uuids'],
    ['field', 'fields'],
    ['groupby', 'groupBy'],
  ];
  for (const [name, list] of lists) {
    const values = all(name);
    if (values.length > 0) {
      next[list] = [...new Set(values)];
    }
  }
  if (params.some(([name]) => name === 'running')) {
    next.running = true;
  }
  if (params.some(([name]) => name === 'experimental')) {
    next.source = 'daily';
  }
  return changeQueryType(next, queryType);
}

function urlParams(search: string): Array<[string, string]> {
  return [...new URLSearchParams(search)];
}

/** The URL parameters in the form of the Infinity data source. */
function infinityParams(query: DataQuery): Array<[string, string]> {
  const params = (query as { url_options?: { params?: Array<{ key?: string; value?: string }> } }).url_options?.params;
  return (params ?? []).map(({ key, value }) => [key ?? '', value ?? '']);
}

/** The values in a matcher; undefined for a pattern that is not a plain list. */
function alternatives({ operator, value }: AbstractLabelMatcher): string[] | undefined {
  if (operator === AbstractLabelOperator.Equal || operator === AbstractLabelOperator.NotEqual) {
    return [value];
  }
  const texts = value
    .replace(/^\^?\(?(?:\?:)?/, '')
    .replace(/\)?\$?$/, '')
    .split('|');
  const plain = texts.map((text) => text.replace(/\\([.\-+*?()[\]{}^$|\\])/g, '$1'));
  return texts.every((text) => /^(?:[^.+*?()[\]{}^$|\\]|\\[^a-zA-Z0-9])*$/.test(text) && text !== '')
    ? plain
    : undefined;
}

function escapeRegex(text: string): string {
  return text.replace(/[.+*?()[\]{}^$|\\]/g, '\\$&');
}
