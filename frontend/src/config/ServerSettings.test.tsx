import { DataSourceSettings } from '@grafana/data';
import { screen } from '@testing-library/react';
import React from 'react';
import { startGrafana } from '../test/grafana';
import { choose, field, renderEditor } from '../test/render';
import { CeemsOptions, CeemsSecrets } from '../types';
import { ConfigEditor } from './ConfigEditor';

type Settings = DataSourceSettings<CeemsOptions, CeemsSecrets>;

function edit(jsonData: CeemsOptions, rest: Partial<Settings> = {}) {
  startGrafana({});
  const initial = { name: 'CEEMS', version: 3, readOnly: false, jsonData, secureJsonFields: {}, ...rest } as Settings;
  return renderEditor(initial, (options, onOptionsChange) => (
    <ConfigEditor options={options} onOptionsChange={onOptionsChange} />
  ));
}

it('changes from a file to a server and back, and leaves nothing of the other', async () => {
  const { user, current } = edit({ path: '/x', timezone: 'Europe/Paris', rowLimit: 5 });
  await choose(user, 'Where it is', 'A server on another host');
  expect(screen.queryByLabelText('Path')).not.toBeInTheDocument();
  await user.type(field('Address'), 'ceems-host:9443');
  await user.type(field('Server name'), 'ceems');
  expect(JSON.parse(JSON.stringify(current().jsonData))).toEqual({
    rowLimit: 5,
    address: 'ceems-host:9443',
    tlsServerName: 'ceems',
  });
  await choose(user, 'Where it is', 'A file on the Grafana server');
  expect(screen.queryByLabelText('Address')).not.toBeInTheDocument();
  expect(JSON.parse(JSON.stringify(current().jsonData))).toEqual({ rowLimit: 5, path: '' });
});

it('keeps secrets out of the settings that everybody sees', async () => {
  const { user, current } = edit({ address: 'ceems-host:9443' });
  await user.type(field('Token'), 'abc');
  expect(field('Token')).toHaveAttribute('type', 'password');
  for (const name of ['CA certificate', 'Client certificate', 'Client key']) {
    await user.type(field(name), `PEM{Enter}${name}`);
  }
  expect(current().jsonData).toEqual({ address: 'ceems-host:9443' });
  expect(current().secureJsonData).toEqual({
    token: 'abc',
    caCert: 'PEM\nCA certificate',
    clientCert: 'PEM\nClient certificate',
    clientKey: 'PEM\nClient key',
  });
});

it('shows that a secret is saved, and lets another take its place', async () => {
  const { user, current } = edit(
    { address: 'ceems-host:9443' },
    { secureJsonFields: { token: true, caCert: true, clientKey: true } }
  );
  expect(field('Token')).toBeDisabled();
  expect(field('Client certificate')).toBeEnabled();
  await user.click(screen.getAllByText('Reset')[0] as HTMLElement);
  expect(current().secureJsonFields).toEqual({ token: false, caCert: true, clientKey: true });
  expect(current().secureJsonData).toEqual({ token: '' });
  await user.type(field('Token'), 'new');
  expect(current().secureJsonData).toEqual({ token: 'new' });
});

it('cannot be changed where a file provides the settings', () => {
  edit({ address: 'ceems-host:9443' }, { readOnly: true });
  for (const name of ['Address', 'Server name', 'Token', 'CA certificate', 'Client certificate', 'Client key']) {
    expect(field(name)).toBeDisabled();
  }
});
