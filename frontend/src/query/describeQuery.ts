import { asList } from './interpolation';
import { isLive } from '../live/live';
import { queryTypeInfo } from './queryTypes';
import { DASHBOARD_TIMEZONE } from './timezone';
import { CeemsQuery, ListFilter } from '../types';

const WORDS: Record<ListFilter, string> = {
  clusters: 'cluster',
  resourceManagers: 'resource manager',
  projects: 'project',
  users: 'user',
  uuids: 'unit',
  states: 'state',
};

/** One line that says what a query asks, for the query history and collapsed editors. */
export function describeQuery(query: CeemsQuery): string {
  const info = queryTypeInfo(query.queryType);
  const what = [
    isLive(query) ? `${info.label} (live)` : query.running === true ? `${info.label} (also running)` : info.label,
  ];
  if (info.parts.includes('mode') && query.mode === 'global') {
    what.push('of all time');
  }
  if (info.parts.includes('of') && query.of) {
    what.push(`of ${query.of}`);
  }
  if (info.parts.includes('step') && query.step) {
    what.push(query.step === 'auto' ? 'in automatic steps' : `per ${query.step}`);
  }
  if (info.parts.includes('compare') && query.compare) {
    what.push(query.compare === 'year' ? 'against a year earlier' : 'against the time range before');
  }
  if (info.parts.includes('timezone') && query.timezone) {
    what.push(`in ${query.timezone === DASHBOARD_TIMEZONE ? "the dashboard's time zone" : query.timezone}`);
  }
  const groups = asList(query.groupBy);
  if (groups.length > 0) {
    what.push(`by ${groups.join(', ')}`);
  }
  const conditions = info.lists
    .filter((list) => asList(query[list]).length > 0)
    .map((list) => `${WORDS[list]} ${asList(query[list]).join(' or ')}`);
  for (const { key, operator, value } of query.filters ?? []) {
    if (key && value !== undefined) {
      conditions.push(`${key} ${operator} ${Array.isArray(value) ? value.join(' or ') : value}`);
    }
  }
  if (conditions.length > 0) {
    what.push(`where ${conditions.join(' and ')}`);
  }
  const fields = asList(query.fields);
  if (fields.length > 0) {
    what.push(`showing ${fields.length > 4 ? `${fields.slice(0, 4).join(', ')}, …` : fields.join(', ')}`);
  }
  if (query.limit) {
    what.push(`limit ${query.limit}`);
  }
  if (query.admin === true) {
    what.push('as administrator');
  }
  return what.join(' ');
}
