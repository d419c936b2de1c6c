import { liveAddress } from './liveChannel';
import { CeemsQuery } from '../types';

const QUERY: CeemsQuery = { refId: 'A', queryType: 'units', users: ['alice'], limit: 10 };
const pathOf = (query: CeemsQuery, login = 'alice', uid = 'ceems') => liveAddress(uid, login, query)?.path;

it('names the data source for every version of Grafana, and holds the question', () => {
  expect(liveAddress('ceems', 'alice', { ...QUERY, running: true, live: true, datasource: { uid: 'x' } })).toEqual({
    scope: 'ds',
    namespace: 'ceems',
    stream: 'ceems',
    path: expect.stringMatching(/^units\/running\/YWxpY2U\/[0-9a-f]{16}$/),
    data: { queryType: 'units', users: ['alice'], limit: 10 },
  });
  expect(liveAddress('ceems', 'alice', { refId: 'A' })?.data).toEqual({ queryType: 'units' });
});

it('hashes as FNV-1a with 64 bits', () => {
  // The hash of the text {"queryType":"stats"}, computed elsewhere.
  expect(pathOf({ refId: 'A', queryType: 'stats' })).toBe('stats/YWxpY2U/fd5363a310b5f9d8');
});

it('is the same for the same question in other panels, and another for other questions', () => {
  const same = { limit: 10, users: ['alice'], queryType: 'units', refId: 'B', hide: false, key: 'Q-1', live: true };
  expect(pathOf(same)).toBe(pathOf(QUERY));
  const others: CeemsQuery[] = [
    { ...QUERY, queryType: 'stats' },
    { ...QUERY, users: ['alice', 'bob'] },
    { ...QUERY, users: [], projects: ['alice'] },
    { ...QUERY, filters: [{ key: 'state', operator: '=', value: 'x' }] },
    { ...QUERY, admin: true },
    { ...QUERY, limit: 11 },
  ];
  expect(new Set([QUERY, ...others].map((query) => pathOf(query))).size).toBe(others.length + 1);
});

it.each([
  ['bob', 'Ym9i'],
  ['zoë@example.org', 'em_Dq0BleGFtcGxlLm9yZw'],
  ['a?>b', 'YT8-Yg'],
])('belongs to the login %s as %s, in characters that channels may have', (login, key) => {
  const path = pathOf(QUERY, login) ?? '';
  expect(path.split('/')[2]).toBe(key);
  expect(path).toMatch(/^[A-Za-z0-9_\-/=.]*$/);
});

it('is none without a login, for other query types, and for what is longer than Grafana takes', () => {
  expect(pathOf(QUERY, '')).toBeUndefined();
  expect(liveAddress('ceems', undefined, QUERY)).toBeUndefined();
  expect(pathOf({ ...QUERY, queryType: 'usage' })).toBeUndefined();
  expect(pathOf({ ...QUERY, queryType: 'toString' })).toBeUndefined();
  expect(pathOf(QUERY, 'x'.repeat(200))).toBeUndefined();
  expect(pathOf({ ...QUERY, uuids: Array.from({ length: 5000 }, (_, index) => `unit-${index}`) })).toBeUndefined();
});
