import { DataFrame, DataQueryRequest } from '@grafana/data';
import { lastValueFrom } from 'rxjs';
import { RANGE, startGrafana, World } from '../test/grafana';
import { CeemsVariableQuery } from '../types';
import { readVariableQuery } from './variableQuery';
import { CeemsVariables } from './variables';

async function valuesOf(query: unknown, world: World, scopedVars = {}) {
  const grafana = startGrafana(world);
  const request = { targets: [query], range: RANGE, scopedVars } as DataQueryRequest<CeemsVariableQuery>;
  const { data } = await lastValueFrom(new CeemsVariables(grafana.datasource).query(request));
  const frame = data[0] as DataFrame;
  return { ...grafana, columns: frame.fields.map(({ name, values }) => [name, values]) };
}

const PROJECTS = [{ value: 'p1', label: 'Project one' }, { value: 'p2' }];

it('gives texts and values', async () => {
  const { columns } = await valuesOf({ refId: 'v', kind: 'projects' }, { suggest: { projects: PROJECTS } });
  expect(columns).toEqual([
    ['text', ['Project one', 'p2']],
    ['value', ['p1', 'p2']],
  ]);
});

it('is narrowed by other variables and by what is typed into the drop-down', async () => {
  const query = { refId: 'v', kind: 'projects', users: ['$user'], clusters: ['$cluster'], admin: true };
  const world = { suggest: { projects: PROJECTS }, variables: { user: ['a', 'b'], cluster: '*' } };
  const { asked } = await valuesOf(query, world, { __searchFilter: { value: 'p', text: '' } });
  expect(asked('projects')).toEqual([{ user: ['a', 'b'], admin: 'true', prefix: 'p', limit: 5000 }]);
});

it('asks for the keys of a column', async () => {
  const query = { refId: 'v', kind: 'metric-keys', column: '$column', limit: '$n' };
  const variables = { column: 'total_cpu_emissions_gms', n: '7' };
  const { asked, columns } = await valuesOf(query, { suggest: { 'metric-keys': [{ value: 'rte_total' }] }, variables });
  expect(asked('metric-keys')[0]).toMatchObject({ column: 'total_cpu_emissions_gms', limit: 7 });
  expect(columns[1]).toEqual(['value', ['rte_total']]);
});

it('asks for the fields of a query type', async () => {
  const { asked } = await valuesOf({ refId: 'v', kind: 'fields', column: 'stats' }, { suggest: { fields: [] } });
  expect(asked('fields')[0]).toMatchObject({ column: 'stats' });
});

it('says why there are no values', async () => {
  await expect(valuesOf({ refId: 'v', kind: 'users' }, {})).rejects.toThrow('no users to be had');
});

it('reads queries of provisioned dashboards that are just a word', async () => {
  expect(readVariableQuery('clusters')).toEqual({ refId: 'variable', kind: 'clusters' });
  expect(readVariableQuery(undefined)).toEqual({ refId: 'variable', kind: 'users' });
  expect(readVariableQuery({ refId: 'x', kind: 'uuids', limit: 1 })).toEqual({ refId: 'x', kind: 'uuids', limit: 1 });
  const { datasource } = startGrafana({ suggest: { clusters: [{ value: 'c' }] } });
  expect(await datasource.metricFindQuery('clusters')).toEqual([{ text: 'c', value: 'c' }]);
});

it('is what the data source gives to dashboards', () => {
  const { datasource } = startGrafana();
  expect(datasource.variables).toBeInstanceOf(CeemsVariables);
  expect(datasource.variables?.getDefaultQuery?.()).toEqual({ kind: 'users' });
});
