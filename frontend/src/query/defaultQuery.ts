import { CoreApp } from '@grafana/data';
import { changeQueryType } from './queryTypes';
import { DASHBOARD_TIMEZONE } from './timezone';
import { CURRENT_VERSION, migrateQuery } from './versions';
import { CeemsQuery, QueryType } from '../types';

/** The columns that matter of a unit. Others are shown on request. */
const UNIT_FIELDS = [
  'uuid',
  'name',
  'project',
  'username',
  'cluster_id',
  'state',
  'started_at',
  'ended_at',
  'elapsed',
  'avg_cpu_usage.global',
  'avg_gpu_usage.global',
  'total_energy_usage_kwh',
];
/** A browser shows so many rows without effort. */
const UNIT_ROWS = 1000;

/** What Grafana adds to a query, besides what the data source stores. */
const GRAFANAS_KEYS = new Set([
  'refId',
  'datasource',
  'hide',
  'key',
  'instant',
  'range',
  'intervalMs',
  'maxDataPoints',
  'label',
]);

/** What a new query of a type says. Alert rules have no viewer whose time zone could count, and no width that steps could fit. */
export function defaultsOf(queryType: QueryType, app?: CoreApp): Partial<CeemsQuery> {
  switch (queryType) {
    case 'units':
      return { running: true, runningAt: 'range', fields: UNIT_FIELDS, orderBy: ['-started_at'], limit: UNIT_ROWS };
    case 'usage':
      return { source: 'prorated' };
    case 'usage-over-time':
      return isAlerting(app) ? { step: 'day' } : { source: 'prorated', step: 'auto', timezone: DASHBOARD_TIMEZONE };
    case 'distribution':
      return { source: 'prorated', of: 'wait_seconds', format: isAlerting(app) ? 'quantiles' : 'histogram' };
    default:
      return {};
  }
}

/** The query that a new editor starts with. */
export function newQuery(app: CoreApp | undefined): Partial<CeemsQuery> {
  if (isAlerting(app)) {
    // Alert rules need numbers, and nobody is signed in when they run: the service user decides what they see.
    return {
      version: CURRENT_VERSION,
      queryType: 'usage',
      ...defaultsOf('usage', app),
      format: 'numeric',
      admin: 'auto',
      groupBy: ['project'],
      exactGroupBy: true,
      fields: ['total_energy_usage_kwh.total'],
    };
  }
  return { version: CURRENT_VERSION, queryType: 'units', admin: 'auto', ...defaultsOf('units', app) };
}

/**
 * What Grafana fills a query with that says nothing but its type, also when a stored one runs. So this must not change the meaning
 * of stored queries: only Explore, which stores what it starts with, gets a whole query here. Elsewhere `completeQuery` writes it.
 */
export function defaultQuery(app: CoreApp | undefined): Partial<CeemsQuery> {
  return app === CoreApp.Explore ? newQuery(app) : {};
}

/**
 * The query with all that it means, in the current version: a query that says nothing yet becomes the default one, an older one
 * keeps its meaning. The same object if there is nothing to add.
 */
export function completeQuery(query: CeemsQuery, app?: CoreApp): CeemsQuery {
  const isNew = Object.entries(query).every(
    ([key, value]) => GRAFANAS_KEYS.has(key) || value === undefined || value === ''
  );
  return isNew ? { ...query, ...newQuery(app) } : migrateQuery(query);
}

/** The query with another type: the parts with the same meaning stay, and the others start with the defaults of the type. */
export function startQueryType(query: CeemsQuery, queryType: QueryType, app?: CoreApp): CeemsQuery {
  return { ...defaultsOf(queryType, app), ...changeQueryType(query, queryType) };
}

/** Shapes that alert rules understand. */
export const ALERTING_FORMATS = ['numeric', 'wide', 'multi', 'quantiles'];

export function isAlerting(app: CoreApp | undefined): boolean {
  return app === CoreApp.UnifiedAlerting || app === CoreApp.CloudAlerting;
}
