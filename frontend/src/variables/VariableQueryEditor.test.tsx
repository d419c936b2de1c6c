import { screen } from '@testing-library/react';
import React from 'react';
import { startGrafana, World } from '../test/grafana';
import { choose, field, renderEditor, typeValue } from '../test/render';
import { CeemsVariableQuery } from '../types';
import { VariableQueryEditor } from './VariableQueryEditor';

function edit(query: unknown, world: World = {}) {
  const grafana = startGrafana(world);
  const edited = renderEditor(query as CeemsVariableQuery, (value, onChange) => (
    <VariableQueryEditor datasource={grafana.datasource} query={value} onChange={onChange} onRunQuery={() => {}} />
  ));
  return { ...grafana, ...edited };
}

it('starts with users, also from the word or the nothing that a dashboard may hold', async () => {
  const { user, current } = edit('projects');
  expect(screen.getByText(/^Names of projects/)).toBeInTheDocument();
  await choose(user, 'Values', 'States');
  expect(current()).toEqual({ refId: 'variable', kind: 'states' });
});

it('narrows by other variables and values', async () => {
  const suggest = { clusters: [{ value: 'c1' }], users: [{ value: 'alice' }] };
  const { user, current, asked } = edit({ refId: 'v', kind: 'projects' }, { suggest, variables: { user: 'bob' } });
  expect(screen.queryByLabelText('Projects')).not.toBeInTheDocument();
  await choose(user, 'Clusters', 'c1');
  await choose(user, 'Users', '$user');
  expect(current()).toEqual({ refId: 'v', kind: 'projects', clusters: ['c1'], users: ['$user'] });
  expect(asked('users').at(-1)).toMatchObject({ cluster_id: ['c1'] });
});

it('asks metric keys for the column, and suggests columns that have keys', async () => {
  const fields = [{ value: 'avg_cpu_usage.global' }, { value: 'total_x.a' }, { value: 'total_x.b' }, { value: 'uuid' }];
  const { user, current } = edit({ refId: 'v', kind: 'users' }, { suggest: { fields } });
  expect(screen.queryByLabelText('Column')).not.toBeInTheDocument();
  await choose(user, 'Values', 'Metric keys');
  await user.click(field('Column'));
  expect(await screen.findByText('avg_cpu_usage')).toBeInTheDocument();
  expect(screen.queryByText('uuid')).not.toBeInTheDocument();
  await user.click(screen.getByText('total_x'));
  expect(current()).toEqual({ refId: 'v', kind: 'metric-keys', column: 'total_x' });
});

it('asks fields for the query type that has them', async () => {
  const { user, current } = edit({ refId: 'v', kind: 'metric-keys', column: 'avg_cpu_usage' });
  await choose(user, 'Values', 'Fields');
  expect(current().column).toBeUndefined();
  await choose(user, 'Of query type', 'Statistics');
  expect(current()).toEqual({ refId: 'v', kind: 'fields', column: 'stats' });
});

it('takes who asks and how many values', async () => {
  const { user, current } = edit({ refId: 'v', kind: 'users' });
  await choose(user, 'As admin', 'No');
  await user.type(field('Limit'), '20{Enter}');
  await typeValue(user, 'Projects', '$project');
  expect(current()).toEqual({ refId: 'v', kind: 'users', admin: false, limit: 20, projects: ['$project'] });
});

it('gives every input a name', () => {
  edit({ refId: 'v', kind: 'metric-keys' });
  for (const input of document.querySelectorAll('input:not([type=hidden])')) {
    expect(input).toHaveAccessibleName();
  }
});
