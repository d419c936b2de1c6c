import { AbstractLabelOperator, CoreApp, DataSourceApi } from '@grafana/data';
import { DataQuery } from '@grafana/schema';
import { lastValueFrom } from 'rxjs';
import { frameJson, panelRequest, startGrafana } from './test/grafana';
import { CeemsQuery, Suggestion } from './types';

const FIELDS: Suggestion[] = [
  { value: 'avg_cpu_usage', kind: 'metric' },
  { value: 'avg_cpu_usage.global', kind: 'metric' },
  { value: 'started_at', kind: 'time' },
  { value: 'tags.partition', kind: 'tag' },
  { value: 'total_energy_usage_kwh.total', kind: 'derived' },
  { value: 'username', kind: 'identity' },
];

it('lets no cache of Grafana keep suggestions, which depend on who asks', async () => {
  const { datasource, requests } = startGrafana({ suggest: { users: [] } });
  await datasource.suggest('users');
  expect(requests[0]?.headers).toMatchObject({ 'X-Cache-Skip': 'true' });
});

describe('query', () => {
  it('sends interpolated queries with the ad hoc filters of the dashboard', async () => {
    const { datasource, requests, queries } = startGrafana({ variables: { user: ['a', 'b'] } });
    const filters = [{ key: 'project', operator: '=', value: 'p' }];
    await lastValueFrom(
      datasource.query(panelRequest([{ refId: 'A', queryType: 'usage', users: ['$user'] }], { filters }))
    );
    expect(requests[0]).toMatchObject({ method: 'POST', data: { from: '1700000000000', to: '1700086400000' } });
    expect(requests[0]?.headers).toMatchObject({ 'X-Cache-Skip': 'true' });
    expect(queries()).toEqual([
      expect.objectContaining({
        refId: 'A',
        queryType: 'usage',
        users: ['a', 'b'],
        filters: [{ key: 'project', operator: '=', value: 'p', adHoc: true }],
        datasource: { uid: 'ceems', type: 'ceems-ceems-datasource' },
      }),
    ]);
  });

  it('gives the same queries to Explore as to the backend', () => {
    const { datasource } = startGrafana({ variables: { user: 'a' } });
    expect(datasource.interpolateVariablesInQueries([{ refId: 'A', version: 3, users: ['$user'] }], {})).toEqual([
      { refId: 'A', version: 3, users: ['a'] },
    ]);
  });

  it('adds links to the units, asks for what they need, and takes it out of the answer again', async () => {
    const frame = frameJson([
      ['uuid', 'string', ['1', '2']],
      ['state', 'string', ['DONE', 'RUNNING']],
      ['cluster_id', 'string', ['c', 'd']],
      ['started_at', 'time', [1000, 2000]],
      ['ended_at', 'time', [5000, null]],
    ]);
    const { datasource, queries } = startGrafana({
      frames: { A: [frame], B: [frameJson([['uuid', 'string', ['9']]])] },
    });
    const response = await lastValueFrom(
      datasource.query(
        panelRequest([
          { refId: 'A', queryType: 'units', fields: ['uuid', 'state'] },
          { refId: 'B', queryType: 'users' },
        ])
      )
    );
    expect(queries()[0]?.fields).toEqual(['uuid', 'state', 'cluster_id', 'started_at', 'ended_at']);
    const [units, users] = response.data;
    expect(units.fields.map(({ name }: { name: string }) => name)).toEqual([
      'uuid',
      'state',
      'link_cluster_id',
      'link_started',
      'link_from',
      'link_to',
    ]);
    expect(units.fields[0].config.links).toHaveLength(1);
    expect(users.fields).toHaveLength(1);
    expect(users.fields[0].config.links).toBeUndefined();
  });

  it.each([
    ['utc', 'UTC'],
    ['Asia/Tokyo', 'Asia/Tokyo'],
    ['browser', Intl.DateTimeFormat().resolvedOptions().timeZone],
  ])("takes the dashboard's time zone %s as %s", async (timezone, expected) => {
    const { datasource, queries } = startGrafana();
    const query = { refId: 'A', queryType: 'usage-over-time', step: 'week', timezone: '$__timezone' };
    await lastValueFrom(datasource.query(panelRequest([query], { timezone })));
    expect(queries()[0]).toMatchObject({ step: 'week', timezone: expected });
  });

  it('leaves queries and answers alone where no links are wanted', async () => {
    const { datasource, queries } = startGrafana({
      options: { unitDashboardUid: '' },
      frames: { A: [frameJson([['uuid', 'string', ['1']]])] },
    });
    const { data } = await lastValueFrom(datasource.query(panelRequest([{ refId: 'A', fields: ['uuid'] }])));
    expect(queries()[0]?.fields).toEqual(['uuid']);
    expect(data[0].fields).toHaveLength(1);
    expect(data[0].fields[0].config.links).toBeUndefined();
  });
});

describe('filterQuery', () => {
  const run = (query: Partial<CeemsQuery>, variables = {}) =>
    startGrafana({ variables }).datasource.filterQuery({ refId: 'A', ...query });

  it('runs what has all it needs, even the empty query', () => {
    expect(run({})).toBe(true);
    expect(run({ uuids: ['1'] })).toBe(true);
    expect(run({ uuids: ['$unit'] }, { unit: '7' })).toBe(true);
    expect(run({ uuids: ['$unit'] }, { unit: '*' })).toBe(true);
  });

  it('does not run hidden queries', () => {
    expect(run({ hide: true })).toBe(false);
  });

  it('does not ask for all units when the one that is meant is not chosen yet', () => {
    expect(run({ uuids: ['$unit'] }, { unit: '' })).toBe(false);
  });
});

describe('getDefaultQuery', () => {
  const defaultFor = (app: CoreApp) => startGrafana().datasource.getDefaultQuery(app);

  it('shows what runs in Explore', () => {
    expect(defaultFor(CoreApp.Explore)).toMatchObject({
      queryType: 'units',
      running: true,
      admin: 'auto',
      limit: 1000,
    });
  });

  it('says nothing elsewhere, because Grafana fills stored queries with it; the editor writes the defaults', () => {
    expect(defaultFor(CoreApp.PanelEditor)).toEqual({});
    expect(defaultFor(CoreApp.Dashboard)).toEqual({});
    expect(defaultFor(CoreApp.UnifiedAlerting)).toEqual({});
  });
});

describe('getQueryDisplayText', () => {
  const { datasource } = startGrafana();
  it.each<[Partial<CeemsQuery>, string]>([
    [{}, 'Units'],
    [
      { queryType: 'units', running: true, users: ['a', 'b'], limit: 5 },
      'Units (also running) where user a or b limit 5',
    ],
    [
      { queryType: 'usage', mode: 'global', groupBy: ['cluster_id'], clusters: ['c'], projects: ['p'], admin: true },
      'Usage of all time by cluster_id where cluster c and project p as administrator',
    ],
    [
      {
        queryType: 'usage-over-time',
        fields: ['a', 'b', 'c', 'd', 'e'],
        filters: [{ key: 'x', operator: '=|', value: ['1', '2'] }],
      },
      'Usage over time per day where x =| 1 or 2 showing a, b, c, d, …',
    ],
    [
      { queryType: 'usage-over-time', step: 'week', timezone: '$__timezone', groupBy: ['project'] },
      "Usage over time per week in the dashboard's time zone by project",
    ],
    [
      { queryType: 'usage-over-time', step: 'month', timezone: 'Europe/Paris' },
      'Usage over time per month in Europe/Paris',
    ],
    [{ queryType: 'units', live: true, running: true }, 'Units (live)'],
    [{ queryType: 'usage', live: true }, 'Usage'],
  ])('%j', (query, text) => {
    expect(datasource.getQueryDisplayText({ refId: 'A', ...query })).toBe(text);
  });
});

describe('suggest', () => {
  it('asks the resource of the kind with the scope, and repeats the keys of lists', async () => {
    const { datasource, requests } = startGrafana({
      suggest: { users: [{ value: 'alice', label: 'Alice' }] },
      warnings: ['only the first 1'],
      variables: { cluster: ['c1', 'c2'], all: '*' },
    });
    const answer = await datasource.suggest('users', {
      prefix: 'al',
      clusters: ['$cluster'],
      projects: ['$all'],
      limit: 1,
    });
    expect(answer).toEqual({ values: [{ value: 'alice', label: 'Alice' }], warnings: ['only the first 1'] });
    expect(requests[0]).toMatchObject({
      method: 'GET',
      url: '/api/datasources/uid/ceems/resources/suggest/users',
      params: {
        prefix: 'al',
        limit: 1,
        admin: 'auto',
        cluster_id: ['c1', 'c2'],
      },
    });
    expect(requests[0]?.params).not.toHaveProperty('project');
  });

  it('says what the backend says when it cannot answer', async () => {
    const { datasource } = startGrafana();
    await expect(datasource.suggest('users')).rejects.toThrow('no users to be had');
  });

  it('says so when the answer is no list', async () => {
    const { datasource } = startGrafana({ suggest: { users: () => 'nonsense' as unknown as Suggestion[] } });
    await expect(datasource.suggest('users')).rejects.toThrow('The data source gave no list of users.');
  });
});

describe('ad hoc filters', () => {
  it('offers columns and keys that can be filtered, who and what first', async () => {
    const { datasource, asked } = startGrafana({ suggest: { fields: FIELDS } });
    expect(await datasource.getTagKeys()).toEqual([
      { text: 'username', value: 'username' },
      { text: 'tags.partition', value: 'tags.partition' },
      { text: 'avg_cpu_usage.global', value: 'avg_cpu_usage.global' },
    ]);
    expect(asked('fields')).toEqual([{ column: 'units', admin: 'auto', limit: 1000 }]);
  });

  it('offers values of columns, narrowed by the other filters', async () => {
    const { datasource, asked } = startGrafana({ suggest: { projects: [{ value: 'p', label: 'Project P' }] } });
    const filters = [
      { key: 'cluster_id', operator: '=|', value: 'c', values: ['c', 'd'] },
      { key: 'username', operator: '!=', value: 'root' },
    ];
    expect(await datasource.getTagValues({ key: 'project', filters })).toEqual([{ text: 'Project P', value: 'p' }]);
    expect(asked('projects')).toEqual([{ cluster_id: ['c', 'd'], admin: 'auto', limit: 1000 }]);
  });

  it('offers values of tags and allocations', async () => {
    const { datasource, asked } = startGrafana({ suggest: { 'tag-values': [{ value: 'gpu' }] } });
    expect(await datasource.getTagValues({ key: 'tags.partition', filters: [] })).toEqual([
      { text: 'gpu', value: 'gpu' },
    ]);
    expect(asked('tag-values')).toEqual([{ column: 'tags.partition', admin: 'auto', limit: 1000 }]);
  });
});

describe('importing queries', () => {
  it('keeps what queries of the REST API ask', async () => {
    const { datasource } = startGrafana();
    const query = { refId: 'A', url: '/api/v1/units?user=alice' } as DataQuery;
    // Grafana still calls it for data sources that know no labels.
    // eslint-disable-next-line @typescript-eslint/no-deprecated
    expect(await datasource.importQueries([query], {} as DataSourceApi)).toEqual([
      { refId: 'A', queryType: 'units', users: ['alice'] },
    ]);
  });

  it('turns labels of metrics into a choice of units', async () => {
    const { datasource } = startGrafana();
    const labelMatchers = [
      { name: 'uuid', operator: AbstractLabelOperator.EqualRegEx, value: '^(12|a\\.b)$' },
      { name: 'manager', operator: AbstractLabelOperator.Equal, value: 'slurm' },
      { name: 'user', operator: AbstractLabelOperator.NotEqual, value: 'root' },
      { name: 'project', operator: AbstractLabelOperator.EqualRegEx, value: 'p.*' },
      { name: 'hostname', operator: AbstractLabelOperator.Equal, value: 'node-1' },
    ];
    expect(await datasource.importFromAbstractQueries([{ refId: 'A', labelMatchers }])).toEqual([
      {
        refId: 'A',
        queryType: 'units',
        running: true,
        uuids: ['12', 'a.b'],
        resourceManagers: ['slurm'],
        filters: [{ key: 'username', operator: '!=|', value: ['root'] }],
      },
    ]);
  });

  it('tells other data sources which units are meant, and understands its own words', async () => {
    const { datasource } = startGrafana();
    const query = { refId: 'A', queryType: 'units', running: true, uuids: ['1', 'a.b'], resourceManagers: ['k8s'] };
    const exported = await datasource.exportToAbstractQueries([query]);
    expect(exported).toEqual([
      {
        refId: 'A',
        labelMatchers: [
          { name: 'uuid', operator: 'EqualRegEx', value: '1|a\\.b' },
          { name: 'manager', operator: 'Equal', value: 'k8s' },
        ],
      },
    ]);
    expect(await datasource.importFromAbstractQueries(exported)).toEqual([query]);
  });
});

describe('Save & test', () => {
  it('says what the health check says', async () => {
    const { datasource } = startGrafana({ health: { status: 'OK', message: '3 clusters, 120 units' } });
    expect(await datasource.testDatasource()).toEqual({ status: 'success', message: '3 clusters, 120 units' });
  });

  it('says what is wrong, with the details', async () => {
    const health = { status: 'ERROR' as const, message: 'cannot read', details: { message: 'folder /srv' } };
    const { datasource } = startGrafana({ health });
    await expect(datasource.testDatasource()).rejects.toMatchObject({
      message: 'cannot read',
      error: { details: { message: 'folder /srv' } },
    });
  });
});
