import { changeQueryType, isQueryType, QUERY_TYPES, queryTypeInfo } from './queryTypes';
import { EXAMPLES } from './examples';
import { CeemsQuery } from '../types';

const FULL: CeemsQuery = {
  refId: 'A',
  datasource: { uid: 'x' },
  queryType: 'units',
  admin: 'auto',
  clusters: ['c'],
  users: ['u'],
  uuids: ['1'],
  states: ['s'],
  running: true,
  fields: ['uuid'],
  filters: [{ key: 'elapsed', operator: '=', value: '1' }],
  orderBy: ['uuid'],
  limit: 5,
  live: true,
  format: 'table',
};

describe('changing the type of a query', () => {
  it('keeps what means the same, and drops what the other type does not have', () => {
    expect(changeQueryType(FULL, 'usage')).toEqual({
      refId: 'A',
      datasource: { uid: 'x' },
      queryType: 'usage',
      admin: 'auto',
      clusters: ['c'],
      users: ['u'],
      limit: 5,
      format: 'table',
    });
    expect(changeQueryType(FULL, 'clusters')).toEqual({
      refId: 'A',
      datasource: { uid: 'x' },
      queryType: 'clusters',
      admin: 'auto',
      clusters: ['c'],
      limit: 5,
      format: 'table',
    });
  });

  it('keeps the columns between usage and usage over time', () => {
    const usage: CeemsQuery = {
      refId: 'A',
      queryType: 'usage',
      mode: 'global',
      fields: ['num_units'],
      groupBy: ['project'],
      exactGroupBy: true,
      format: 'numeric',
    };
    expect(changeQueryType(usage, 'usage-over-time')).toEqual({
      refId: 'A',
      queryType: 'usage-over-time',
      fields: ['num_units'],
      groupBy: ['project'],
    });
  });

  it('keeps what live tables have in common', () => {
    expect(changeQueryType(FULL, 'stats')).toMatchObject({ queryType: 'stats', live: true, limit: 5 });
  });

  it('drops steps and time zone where nothing is counted by days', () => {
    const series: CeemsQuery = {
      refId: 'A',
      queryType: 'usage-over-time',
      step: 'week',
      timezone: 'UTC',
      source: 'units',
    };
    expect(changeQueryType(series, 'usage')).toEqual({ refId: 'A', queryType: 'usage', source: 'units' });
  });

  it('changes nothing when the type stays', () => {
    expect(changeQueryType(FULL, 'units')).toEqual(FULL);
  });
});

it('shows an unknown type, such as a variable, like units', () => {
  expect(queryTypeInfo('$type')).toBe(QUERY_TYPES.units);
  expect(isQueryType('toString')).toBe(false);
});

it.each(EXAMPLES)('the example "$title" says only what its type has', ({ query }) => {
  expect(isQueryType(query.queryType) && changeQueryType({ refId: 'A', ...query }, query.queryType)).toEqual({
    refId: 'A',
    ...query,
  });
});
