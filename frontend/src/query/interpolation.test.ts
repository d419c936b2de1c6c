import { Interpolation, asList } from './interpolation';
import { Templates } from '../test/templates';
import { CeemsQuery } from '../types';

const VARIABLES = {
  user: 'alice',
  users: ['alice', 'bob'],
  projects: ['p1', 'p2'],
  array: ['1234[5]', '1234[6]'],
  empty: '',
  none: [],
  star: '*',
  all: '$__all',
  metric: 'total_energy_usage_kwh',
  n: '25',
  yes: 'true',
  who: 'auto',
  type: 'usage',
  zone: 'Europe/Paris',
  utc: 'utc',
  browser: 'browser',
};
const texts = new Interpolation(new Templates(VARIABLES));
const interpolate = (query: Partial<CeemsQuery>, filters = []) => texts.query({ refId: 'A', ...query }, filters);

describe('lists of rows', () => {
  it.each([
    ['a value', ['alice'], ['alice']],
    ['a variable', ['$user'], ['alice']],
    ['a variable with several values', ['$users'], ['alice', 'bob']],
    ['all ways to write a variable', ['${users}', '[[user]]'], ['alice', 'bob']],
    ['elements of a job array', ['$array', '7[1]'], ['1234[5]', '1234[6]', '7[1]']],
    ['a variable within a text', ['x-$users-y'], ['x-alice-y', 'x-bob-y']],
    ['two variables within a text', ['$users/$projects'], ['alice/p1', 'alice/p2', 'bob/p1', 'bob/p2']],
    ['a format that the text names', ['${users:csv}'], ['alice,bob']],
    ['values and variables', ['carol', '$users', 'alice'], ['carol', 'alice', 'bob']],
    ['an unknown variable stays as it is', ['$unknown'], ['$unknown']],
    ['an empty variable chooses all', ['$empty'], undefined],
    ['a variable with no value chosen chooses all', ['$none'], undefined],
    ['All with a value of its own', ['$star'], undefined],
    ['All', ['$all', 'alice'], undefined],
  ])('%s', (_name, users, expected) => {
    expect(interpolate({ users }).users).toEqual(expected);
  });

  it('takes one text for a list, as queries written by hand have it', () => {
    expect(interpolate({ clusters: '$user' as unknown as string[] }).clusters).toEqual(['alice']);
    expect(asList(undefined)).toEqual([]);
  });

  it('uses the variables of a repeated panel before those of the dashboard', () => {
    const scoped = new Interpolation(new Templates(VARIABLES), { user: { text: 'zoe', value: 'zoe' } });
    expect(scoped.query({ refId: 'A', uuids: ['$user'], states: ['$user'] })).toEqual({
      refId: 'A',
      uuids: ['zoe'],
      states: ['zoe'],
    });
  });

  it('knows a choice that its variable leaves empty from one that is set to All', () => {
    expect(texts.isUnset(['$empty'])).toBe(true);
    expect(texts.isUnset(['$none'])).toBe(true);
    expect(texts.isUnset(['$star'])).toBe(false);
    expect(texts.isUnset(['1', '$empty'])).toBe(false);
    expect(texts.isUnset([])).toBe(false);
  });
});

describe('the other parts', () => {
  it('replaces variables in every one of them', () => {
    const query = interpolate({
      queryType: '$type',
      mode: '${who}',
      admin: '$who',
      running: '$yes',
      exactGroupBy: '$yes',
      fields: ['$metric', 'total_$users'],
      groupBy: ['$user'],
      orderBy: ['-$metric'],
      limit: '$n',
      timezone: '$zone',
      source: '$user',
      step: '$user',
      format: '$user',
      live: '$yes',
    });
    expect(query).toEqual({
      refId: 'A',
      queryType: 'usage',
      mode: 'auto',
      admin: 'auto',
      running: true,
      exactGroupBy: true,
      fields: ['total_energy_usage_kwh', 'total_alice', 'total_bob'],
      groupBy: ['alice'],
      orderBy: ['-total_energy_usage_kwh'],
      limit: 25,
      timezone: 'Europe/Paris',
      source: 'alice',
      step: 'alice',
      format: 'alice',
      live: true,
    });
  });

  it.each([
    ['$utc', 'UTC'],
    ['$browser', Intl.DateTimeFormat().resolvedOptions().timeZone],
    ['$empty', undefined],
    ['$unknown', '$unknown'],
  ])("turns Grafana's time zone %s into the IANA name %s", (timezone, expected) => {
    expect(interpolate({ timezone }).timezone).toBe(expected);
  });

  it("keeps flags and numbers, and Grafana's own keys", () => {
    const query = { refId: 'B', hide: false, admin: false, running: true, limit: 3, datasource: { uid: 'x' } };
    expect(texts.query(query)).toEqual(query);
  });

  it('makes flags of texts', () => {
    expect(interpolate({ admin: '$yes' }).admin).toBe(true);
    expect(interpolate({ admin: 'false' }).admin).toBe(false);
  });

  it('drops a limit of All, and leaves one that is no number to the backend, which says what is wrong', () => {
    expect(interpolate({ limit: '$star' })).not.toHaveProperty('limit');
    expect(interpolate({ limit: '$empty' })).not.toHaveProperty('limit');
    expect(interpolate({ limit: '$user' }).limit).toBe('alice');
  });

  it('does not change the stored query', () => {
    const query: CeemsQuery = {
      refId: 'A',
      users: ['$users'],
      filters: [{ key: 'state', operator: '=', value: '$user' }],
    };
    const copy = JSON.parse(JSON.stringify(query));
    texts.query(query);
    expect(query).toEqual(copy);
  });
});

describe('conditions', () => {
  const filter = (operator: string, value: CeemsQuery['limit'] | string[], key = 'state') =>
    interpolate({ filters: [{ key, operator, value }] }).filters;

  it.each([
    ['a text', '=', 'done', [{ key: 'state', operator: '=', value: 'done' }]],
    ['an empty text is a condition too', '=', '', [{ key: 'state', operator: '=', value: '' }]],
    ['a number', '>', 5, [{ key: 'state', operator: '>', value: 5 }]],
    ['a variable', '>=', '$n', [{ key: 'state', operator: '>=', value: '25' }]],
    ['several values of = are a list', '=', '$users', [{ key: 'state', operator: '=|', value: ['alice', 'bob'] }]],
    ['and of != too', '!=', '$users', [{ key: 'state', operator: '!=|', value: ['alice', 'bob'] }]],
    ['a list with a variable', '=|', ['x', '$users'], [{ key: 'state', operator: '=|', value: ['x', 'alice', 'bob'] }]],
    ['a list operator with one text', '!=|', 'x', [{ key: 'state', operator: '!=|', value: ['x'] }]],
    [
      'several values of < go to the backend, which refuses them',
      '<',
      '$users',
      [{ key: 'state', operator: '<', value: 'alice,bob' }],
    ],
    ['a regular expression', '=~', 'a.*', [{ key: 'state', operator: '=~', value: 'a.*' }]],
    ['several values are alternatives', '!~', '$users', [{ key: 'state', operator: '!~', value: 'alice|bob' }]],
    ['All is no condition', '=', '$star', undefined],
    ['All in a list neither', '!=|', ['$all'], undefined],
    ['an empty variable neither', '=', '$empty', undefined],
    ['a variable without values neither', '=|', ['$none'], undefined],
    ['a condition without a value is not finished', '=', undefined, undefined],
  ])('%s', (_name, operator, value, expected) => {
    expect(filter(operator, value)).toEqual(expected);
  });

  it('takes a variable for the column, and leaves out a row without one', () => {
    expect(filter('<', '1', '$metric.total')).toEqual([
      { key: 'total_energy_usage_kwh.total', operator: '<', value: '1' },
    ]);
    expect(filter('<', '1', '')).toBeUndefined();
  });

  it('adds ad hoc filters, those with several values as lists', () => {
    const adHoc = [
      { key: 'project', operator: '=', value: 'p1' },
      { key: 'username', operator: '=|', value: 'a', values: ['a', 'b'] },
      { key: 'state', operator: '=~', value: 'C.*' },
    ];
    const query = texts.query({ refId: 'A', filters: [{ key: 'elapsed', operator: '=', value: '1' }] }, adHoc);
    expect(query.filters).toEqual([
      { key: 'elapsed', operator: '=', value: '1' },
      { key: 'project', operator: '=', value: 'p1', adHoc: true },
      { key: 'username', operator: '=|', value: ['a', 'b'], adHoc: true },
      { key: 'state', operator: '=~', value: 'C.*', adHoc: true },
    ]);
  });

  it('leaves it to the backend which ad hoc filters a query type can answer', () => {
    const adHoc = [
      { key: 'username', operator: '=', value: 'a' },
      { key: 'cluster_id', operator: '=', value: 'c' },
    ];
    expect(texts.query({ refId: 'A', queryType: 'clusters' }, adHoc).filters).toHaveLength(2);
  });
});
