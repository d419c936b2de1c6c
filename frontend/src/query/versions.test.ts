import { CoreApp } from '@grafana/data';
import { CeemsQuery } from '../types';
import { completeQuery, defaultQuery, newQuery, startQueryType } from './defaultQuery';
import { CURRENT_VERSION, migrateQuery } from './versions';

const complete = (query: Partial<CeemsQuery>, app?: CoreApp) => completeQuery({ refId: 'A', ...query }, app);

describe('a query without a version', () => {
  it.each<[string, Partial<CeemsQuery>, Partial<CeemsQuery>]>([
    ['units', { queryType: 'units' }, { admin: false, runningAt: 'now' }],
    ['usage by user and project', { queryType: 'usage' }, { admin: false, exactGroupBy: false }],
    ['usage by exact groups', { queryType: 'usage', exactGroupBy: true, admin: 'auto' }, {}],
    ['a switch that a variable sets', { queryType: 'usage', exactGroupBy: '$exact', admin: true }, {}],
    [
      'a type that a variable sets',
      { queryType: '$type' },
      { admin: false, exactGroupBy: false, runningAt: 'now', step: 'day' },
    ],
    ['days', { queryType: 'usage-over-time' }, { admin: false, step: 'day' }],
    ['no type, which is units', { users: ['alice'] }, { admin: false, runningAt: 'now' }],
  ])('keeps its meaning: %s', (_name, query, added) => {
    expect(complete(query)).toEqual({ refId: 'A', ...query, ...added, legend: 'names', version: CURRENT_VERSION });
  });
});

it('keeps the names that a query of version 2 shows', () => {
  const query: CeemsQuery = { refId: 'A', version: 2, queryType: 'usage', groupBy: ['project'] };
  expect(migrateQuery(query)).toEqual({ ...query, version: CURRENT_VERSION, legend: 'names' });
  expect(migrateQuery({ ...query, legend: '{{project}}' }).legend).toBe('{{project}}');
});

it('leaves a query of the current version, and of a newer one, alone', () => {
  for (const version of [CURRENT_VERSION, CURRENT_VERSION + 1]) {
    const query: CeemsQuery = { refId: 'A', version, queryType: 'usage' };
    expect(completeQuery(query)).toBe(query);
    expect(migrateQuery(migrateQuery(query))).toBe(query);
  }
});

describe('a query that says nothing yet', () => {
  it('becomes the default one: some rows, the columns that matter, the newest first', () => {
    const query = complete({ datasource: { uid: 'x' }, hide: false, key: 'Q-1' });
    expect(query).toMatchObject({ refId: 'A', datasource: { uid: 'x' }, version: CURRENT_VERSION, queryType: 'units' });
    expect(query).toMatchObject({ limit: 1000, orderBy: ['-started_at'], running: true, admin: 'auto' });
    expect(query.fields).toHaveLength(12);
  });

  it('becomes numbers of exact groups in alert rules', () => {
    expect(complete({ instant: undefined } as Partial<CeemsQuery>, CoreApp.UnifiedAlerting)).toMatchObject({
      queryType: 'usage',
      format: 'numeric',
      groupBy: ['project'],
      exactGroupBy: true,
      source: 'prorated',
    });
  });
});

it('gives Grafana nothing to fill stored queries with, but starts Explore', () => {
  for (const app of [CoreApp.PanelEditor, CoreApp.Dashboard, CoreApp.UnifiedAlerting, undefined]) {
    expect(defaultQuery(app)).toEqual({});
  }
  expect(defaultQuery(CoreApp.Explore)).toEqual(newQuery(CoreApp.Explore));
});

it('starts another type with its defaults, and keeps what is chosen', () => {
  const usage: CeemsQuery = { refId: 'A', version: CURRENT_VERSION, queryType: 'usage', users: ['u'], limit: 5 };
  expect(startQueryType(usage, 'units')).toMatchObject({ users: ['u'], limit: 5, orderBy: ['-started_at'] });
  expect(startQueryType(usage, 'usage-over-time')).toMatchObject({
    timezone: '$__timezone',
    step: 'auto',
    source: 'prorated',
  });
  const rule = startQueryType(usage, 'usage-over-time', CoreApp.UnifiedAlerting);
  expect(rule).toMatchObject({ step: 'day' });
  expect(rule.timezone).toBeUndefined();
});
