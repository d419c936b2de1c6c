import { DataFrame, DataQueryResponse } from '@grafana/data';
import { config } from '@grafana/runtime';
import { frameJson, Grafana, panelRequest, RANGE, startGrafana, World } from '../test/grafana';
import { CURRENT_VERSION } from '../query/versions';
import { CeemsQuery } from '../types';
import { CONFIRM } from './live';

const NOW = 1_700_000_500_000;
const units = (...uuids: string[]) => frameJson([['uuid', 'string', uuids]]);
const LIVE: CeemsQuery = { refId: 'A', queryType: 'units', live: true };

/** Runs a panel and keeps what it shows. */
function watch(targets: CeemsQuery[], world: World = {}) {
  const grafana: Grafana = startGrafana({ options: { unitDashboardUid: '' }, ...world });
  const shown: DataQueryResponse[] = [];
  const subscription = grafana.datasource.query(panelRequest(targets)).subscribe((response) => shown.push(response));
  const tables = () => (shown.at(-1)?.data ?? []).map((frame: DataFrame) => [frame.refId, frame.fields[0]?.values]);
  return { ...grafana, shown, tables, stop: () => subscription.unsubscribe(), last: () => shown.at(-1) };
}

/** Lets the answers of the server arrive. */
const arrive = () => new Promise((resolve) => setTimeout(resolve));

beforeEach(() => jest.spyOn(Date, 'now').mockReturnValue(NOW));
afterEach(() => {
  jest.restoreAllMocks();
  config.liveEnabled = true;
  delete config.publicDashboardAccessToken;
});

it('shows the ordinary answer first, and replaces it by each message of the channel', async () => {
  const { tables, last, channels } = watch([LIVE], { frames: { A: [units('1')] } });
  await arrive();
  expect(tables()).toEqual([['A', ['1']]]);
  expect(last()?.state).toBe('Streaming');
  channels[0]?.welcome(units('1', '2'));
  expect(tables()).toEqual([['A', ['1', '2']]]);
  channels[0]?.send(units('2', '3'));
  expect(tables()).toEqual([['A', ['2', '3']]]);
  channels[0]?.send(units());
  expect(tables()).toEqual([['A', []]]);
  channels[0]?.send(frameJson([['state', 'string', ['R']]]));
  expect(last()?.data[0].fields.map(({ name }: { name: string }) => name)).toEqual(['state']);
  expect(last()).toMatchObject({ state: 'Streaming' });
});

it('asks the channel and the backend the same: units that run now, in a table', async () => {
  const query = { ...LIVE, users: ['$user'], format: 'table', datasource: { uid: 'ceems' } };
  const { queries, requests, channels } = watch([query], { variables: { user: ['a', 'b'] } });
  expect(channels.map(({ address }) => address)).toEqual([
    expect.objectContaining({ scope: 'ds', namespace: 'ceems', stream: 'ceems' }),
  ]);
  expect(channels[0]?.address.data).toEqual({
    version: CURRENT_VERSION,
    legend: 'names',
    queryType: 'units',
    admin: false,
    users: ['a', 'b'],
    limit: 1000,
  });
  expect(queries()).toEqual([expect.objectContaining({ running: true, users: ['a', 'b'], limit: 1000 })]);
  expect(requests[0]?.data).toMatchObject({ from: String(NOW), to: String(NOW) });
});

it('asks for statistics of the last day', async () => {
  const { requests, channels } = watch([{ refId: 'A', queryType: 'stats', live: true, limit: 5, mode: 'global' }]);
  expect(channels[0]?.address.path).toMatch(/^stats\//);
  expect(channels[0]?.address.data).toEqual({
    version: CURRENT_VERSION,
    legend: 'names',
    queryType: 'stats',
    admin: false,
    limit: 5,
    mode: 'global',
  });
  expect(requests[0]?.data).toMatchObject({ from: String(NOW - 86_400_000), to: String(NOW) });
});

it('keeps the order of the queries, each with its own time range', async () => {
  const targets = [LIVE, { refId: 'B', queryType: 'usage' }, { ...LIVE, refId: 'C', users: ['bob'] }];
  const { tables, last, requests, channels } = watch(targets, { frames: { A: [units('a')], B: [units('b')] } });
  channels[1]?.welcome(units('c'));
  expect(last()?.state).toBe('Loading');
  expect(tables()).toEqual([['C', ['c']]]);
  await arrive();
  channels[1]?.send(units('c2'));
  expect(tables()).toEqual([
    ['A', ['a']],
    ['B', ['b']],
    ['C', ['c2']],
  ]);
  expect(last()?.state).toBe('Streaming');
  expect(new Set(requests.map(({ requestId }) => requestId)).size).toBe(3);
  const usage = requests.find(({ data }) => data.queries[0].refId === 'B');
  expect(usage?.data.from).toBe(String(RANGE.from.valueOf()));
});

it('tells the backend the role of the user while it listens, and no longer', () => {
  jest.useFakeTimers({ doNotFake: ['Date'] });
  const { datasource, stop } = watch([LIVE]);
  const confirm = jest.spyOn(datasource, 'getResource').mockRejectedValue(new Error('away'));
  jest.advanceTimersByTime(3 * CONFIRM);
  expect(confirm.mock.calls.map(([path]) => path)).toEqual(['health', 'health', 'health']);
  stop();
  jest.advanceTimersByTime(3 * CONFIRM);
  expect(confirm).toHaveBeenCalledTimes(3);
  jest.useRealTimers();
});

it('leaves the channel with the panel', () => {
  const { channels, stop } = watch([LIVE]);
  expect(channels[0]?.isHeard()).toBe(true);
  stop();
  expect(channels[0]?.isHeard()).toBe(false);
});

it('says in a notice when the channel fails, keeps the last answer, and goes on when it can', async () => {
  const { channels, last, tables } = watch([LIVE], { frames: { A: [units('1')] } });
  channels[0]?.fail('permission denied.');
  await arrive();
  expect(tables()).toEqual([['A', ['1']]]);
  expect(last()).toMatchObject({ state: 'Done' });
  expect(last()?.data[0].meta.notices).toEqual([
    { severity: 'warning', text: 'This table does not follow the database: permission denied.' },
  ]);
  channels[0]?.send(units('2'));
  expect(tables()).toEqual([['A', ['2']]]);
  expect(last()?.data[0].meta?.notices ?? []).toEqual([]);
  expect(last()).toMatchObject({ state: 'Streaming' });
});

it('puts links on live tables too, and takes out the columns that are only there for them', () => {
  const { channels, last } = watch([{ ...LIVE, fields: ['uuid'] }], { options: {} });
  expect(channels[0]?.address.data).toMatchObject({ fields: ['uuid', 'cluster_id', 'started_at', 'ended_at'] });
  channels[0]?.send(
    frameJson([
      ['uuid', 'string', ['1']],
      ['cluster_id', 'string', ['c']],
      ['started_at', 'time', [1000]],
      ['ended_at', 'time', [null]],
    ])
  );
  const fields = last()?.data[0].fields;
  expect(fields[0].config.links).toHaveLength(1);
  expect(fields.map(({ name }: { name: string }) => name)).toEqual([
    'uuid',
    'link_cluster_id',
    'link_started',
    'link_from',
    'link_to',
  ]);
});

it.each<[string, Partial<CeemsQuery>, World, () => void]>([
  ['nobody is signed in', {}, { login: '' }, () => {}],
  ['Grafana Live is off', {}, {}, () => (config.liveEnabled = false)],
])('asks once what runs when %s', async (_name, query, world, prepare) => {
  prepare();
  const { tables, last, channels, requests } = watch([{ ...LIVE, ...query }], {
    ...world,
    frames: { A: [units('1')] },
  });
  await arrive();
  expect(channels).toEqual([]);
  expect(tables()).toEqual([['A', ['1']]]);
  expect(last()?.state).toBe('Done');
  expect(requests[0]?.data.from).toBe(String(NOW));
});

it.each<Partial<CeemsQuery>>([{ live: false }, { live: '$no' }, { queryType: 'usage' }, { queryType: '$type' }])(
  'asks as ever with %j',
  async (query) => {
    const { channels, requests } = watch([{ ...LIVE, ...query }], { variables: { no: 'false', type: 'usage' } });
    await arrive();
    expect(channels).toEqual([]);
    expect(requests[0]?.data).toMatchObject({ from: String(RANGE.from.valueOf()) });
  }
);

it('leaves public dashboards to Grafana, which knows their queries', () => {
  config.publicDashboardAccessToken = 'token';
  const { channels, requests } = watch([LIVE, { refId: 'B', queryType: 'usage' }]);
  expect(channels).toEqual([]);
  expect(requests).toHaveLength(1);
});
