import { DataSourceSettings } from '@grafana/data';
import { screen } from '@testing-library/react';
import React from 'react';
import { startGrafana } from '../test/grafana';
import { choose, field, renderEditor, typeValue } from '../test/render';
import { CeemsOptions } from '../types';
import { ConfigEditor } from './ConfigEditor';

const OTHERS = [
  { uid: 'prom', name: 'Metrics of the site', type: 'prometheus' },
  { uid: 'pyro', name: 'Profiles of the site', type: 'grafana-pyroscope-datasource' },
  { uid: 'sql', name: 'Some SQL', type: 'mysql' },
];

/** Both folded sections are open where something of them is set. */
const OPEN: CeemsOptions = { mirror: {}, unitDashboardUid: 'ceems-unit' };

function edit(jsonData: CeemsOptions = {}, rest: Partial<DataSourceSettings<CeemsOptions>> = {}) {
  startGrafana({ others: OTHERS });
  const initial = { name: 'CEEMS', version: 3, readOnly: false, jsonData, ...rest } as DataSourceSettings<CeemsOptions>;
  return renderEditor(initial, (options, onOptionsChange) => (
    <ConfigEditor options={options} onOptionsChange={onOptionsChange} />
  ));
}

it('changes the path and leaves everything else alone', async () => {
  const { user, current } = edit({ rowLimit: 5 });
  await user.type(field('Path'), '/srv/ceems.db');
  expect(current()).toEqual({
    name: 'CEEMS',
    version: 3,
    readOnly: false,
    jsonData: { path: '/srv/ceems.db', rowLimit: 5 },
  });
});

it('says when a path is not a full one', async () => {
  const { user } = edit();
  await user.type(field('Path'), 'ceems.db');
  expect(screen.getByText('A full path, which starts with /')).toBeInTheDocument();
  await user.clear(field('Path'));
  expect(screen.queryByText('A full path, which starts with /')).not.toBeInTheDocument();
});

it('sets limits, the number of rows as a number', async () => {
  const { user, current } = edit();
  await user.type(field('Longest time range'), '90d');
  await user.type(field('Row limit'), '5000');
  await user.type(field('Query timeout'), '1m30s');
  expect(current().jsonData).toEqual({ maxQueryWindow: '90d', rowLimit: 5000, queryTimeout: '1m30s' });
  expect(screen.queryByText(/^A length of time/)).not.toBeInTheDocument();
  await user.type(field('Memory limit'), '2GiB');
  expect(current().jsonData.memoryLimit).toBe('2GiB');
  await user.clear(field('Row limit'));
  expect(current().jsonData.rowLimit).toBeUndefined();
  await user.type(field('Query timeout'), ' soon');
  expect(screen.getByText('A length of time, such as 30s, 12h or 90d')).toBeInTheDocument();
});

it('sets the time zone, and empties it again', async () => {
  const { user, current } = edit();
  await typeValue(user, 'Time zone', 'Europe/Paris');
  expect(current().jsonData.timezone).toBe('Europe/Paris');
  await user.type(field('Time zone'), '{Backspace}');
  expect(current().jsonData.timezone).toBe('');
});

it('sets who is an administrator and who asks without a user', async () => {
  const { user, current } = edit();
  expect(screen.getByText('Nobody by role')).toBeInTheDocument();
  await choose(user, 'Administrators by Grafana role', 'Grafana editors');
  await user.type(field('Service user'), 'grafana-svc');
  expect(current().jsonData).toEqual({ adminRole: 'Editor', serviceUser: 'grafana-svc' });
});

it('sets the tags that members share, and empties them again', async () => {
  const { user, current } = edit();
  await user.type(field('Shared tags'), 'partition, account');
  expect(current().jsonData).toEqual({ sharedTags: ['partition', 'account'] });
  await user.clear(field('Shared tags'));
  expect(current().jsonData.sharedTags).toBeUndefined();
});

it('sets the mirror', async () => {
  const { user, current } = edit();
  await user.click(screen.getByLabelText('Expand section Mirror'));
  await choose(user, 'Keep a mirror', 'In memory');
  await user.type(field('Mirror folder'), '/x');
  expect(current().jsonData.mirror).toEqual({ mode: 'memory', folder: '/x' });
});

it('sets where the links of units go', async () => {
  const { user, current } = edit(OPEN);
  await user.clear(field('Unit dashboard'));
  await user.click(field('Metrics data source'));
  expect(screen.queryByText('Some SQL')).not.toBeInTheDocument();
  await user.click(await screen.findByText('Metrics of the site'));
  await user.type(field('Metrics queries'), 'up');
  await choose(user, 'Profiles data source', 'Profiles of the site');
  await user.type(field('Profiles selector'), 'x');
  await user.type(field('Profile type'), 'y');
  expect(current().jsonData).toEqual({
    mirror: {},
    unitDashboardUid: '',
    metricsDatasourceUid: 'prom',
    metricsQueryTemplate: 'up',
    profilesDatasourceUid: 'pyro',
    profilesQueryTemplate: 'x',
    profilesType: 'y',
  });
});

it('shows a data source that is gone, and takes it away', async () => {
  const { user, current } = edit({ metricsDatasourceUid: 'old' });
  expect(screen.getByText('old (not found)')).toBeInTheDocument();
  await user.type(field('Metrics data source'), '{Backspace}');
  expect(current().jsonData.metricsDatasourceUid).toBe('');
});

it('cannot be changed where a file provides the settings', () => {
  edit({ ...OPEN, path: '/x' }, { readOnly: true });
  for (const input of document.querySelectorAll('input:not([type=hidden]), textarea')) {
    expect(input).toBeDisabled();
  }
});

it('gives every input a name, and a help text', () => {
  edit(OPEN);
  const inputs = [...document.querySelectorAll('input:not([type=hidden]), textarea')];
  expect(inputs).toHaveLength(19);
  for (const input of inputs) {
    expect(input).toHaveAccessibleName();
    const label = document.querySelector(`label[for="${input.id}"]`);
    expect(label?.textContent?.length).toBeGreaterThan((input.getAttribute('aria-label') ?? '').length + 10);
  }
});

it('links to the documentation', () => {
  edit();
  expect(screen.getByText('view the documentation')).toHaveAttribute(
    'href',
    expect.stringMatching(/^(https:|\/plugins\/)/)
  );
});
