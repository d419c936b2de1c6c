import { DataQuery } from '@grafana/schema';
import { importQuery } from './importQueries';

it('turns queries of the REST API, as the Infinity data source has them, into ours', () => {
  const query = {
    refId: 'C',
    type: 'json',
    url: '/api/v1/usage/current/admin?project=p1&project=p2',
    url_options: {
      params: [
        { key: 'user', value: '$user' },
        { key: 'cluster_id', value: 'slurm-0' },
        { key: 'field', value: 'username' },
        { key: 'field', value: 'avg_cpu_usage' },
        { key: 'groupby', value: 'cluster_id' },
        { key: 'experimental', value: '' },
        { key: 'from', value: '${__from}' },
      ],
    },
  } as DataQuery;
  expect(importQuery(query)).toEqual({
    refId: 'C',
    queryType: 'usage',
    mode: 'current',
    admin: true,
    source: 'daily',
    projects: ['p1', 'p2'],
    users: ['$user'],
    clusters: ['slurm-0'],
    fields: ['username', 'avg_cpu_usage'],
    groupBy: ['cluster_id'],
  });
});

it('keeps what the other query types ask', () => {
  const queries = [
    { refId: 'A', url: 'units?running&uuid=12&timezone=Europe/Paris' },
    { refId: 'B', url: '/projects' },
    { refId: 'C', url: '/stats/global/admin' },
    { refId: 'D', hide: true, expr: 'up' },
  ] as unknown as DataQuery[];
  expect(queries.map(importQuery)).toEqual([
    { refId: 'A', queryType: 'units', uuids: ['12'], running: true },
    { refId: 'B', queryType: 'projects' },
    { refId: 'C', queryType: 'stats', mode: 'global', admin: true },
    { refId: 'D', queryType: 'units', hide: true },
  ]);
});
