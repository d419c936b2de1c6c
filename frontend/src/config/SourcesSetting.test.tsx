import { screen } from '@testing-library/react';
import React from 'react';
import { startGrafana } from '../test/grafana';
import { choose, field, renderEditor } from '../test/render';
import { CeemsOptions } from '../types';
import { SecretOptions } from './SourceSetting';
import { SourcesSetting } from './SourcesSetting';

function edit(jsonData: CeemsOptions = {}, rest: Partial<SecretOptions> = {}) {
  startGrafana({ others: [] });
  return renderEditor<SecretOptions>({ jsonData, ...rest }, (options, onOptionsChange) => (
    <SourcesSetting options={options} onOptionsChange={onOptionsChange} />
  ));
}

it('makes the database so far the first of the list', async () => {
  const { user, current } = edit({ path: '/a.db', rowLimit: 5 });
  await user.click(screen.getByText('Add a source'));
  expect(current().jsonData).toEqual({
    rowLimit: 5,
    sources: [
      { name: 'main', path: '/a.db' },
      { name: '', path: '' },
    ],
  });
  await user.type(field('Source 2: name'), 'site-b');
  await user.type(field('Source 2: path'), '/b.db');
  expect(current().jsonData.sources?.[1]).toEqual({ name: 'site-b', path: '/b.db' });
});

it('takes sources away, and the list with the last of them', async () => {
  const { user, current } = edit({
    sources: [
      { name: 'a', path: '/a' },
      { name: 'b', path: '/b' },
    ],
  });
  await user.click(screen.getByLabelText('Remove source 1'));
  expect(current().jsonData.sources).toEqual([{ name: 'b', path: '/b' }]);
  expect(field('Time for each source')).toBeInTheDocument();
  await user.click(screen.getByLabelText('Remove source 1'));
  expect(current().jsonData.sources).toBeUndefined();
  expect(screen.queryByLabelText('Time for each source')).not.toBeInTheDocument();
});

it('keeps just what belongs to the kind of a source', async () => {
  const { user, current } = edit({ sources: [{ name: 'a', path: '/a', timezone: 'UTC' }] });
  await choose(user, 'Source 1: kind', 'Server');
  await user.type(field('Source 1: address'), 'host:9443');
  expect(current().jsonData.sources).toEqual([{ name: 'a', address: 'host:9443' }]);
  await choose(user, 'Source 1: kind', 'PostgreSQL');
  await user.type(field('Source 1: URL'), 'postgresql://me@host/db');
  expect(current().jsonData.sources).toEqual([{ name: 'a', postgres: 'postgresql://me@host/db' }]);
});

it('keeps secrets by the name of the source, apart from the settings', async () => {
  const { user, current } = edit({ sources: [{ name: 'site-a', address: 'host:9443' }] });
  await user.type(field('Source 1: token'), 'abc');
  await user.type(field('Source 1: certificate authority'), 'pem');
  expect(current().secureJsonData).toEqual({ 'site-a.token': 'abc', 'site-a.caCert': 'pem' });
  expect(JSON.stringify(current().jsonData)).not.toContain('abc');
});

it('shows that a secret is there, and lets it be entered anew', async () => {
  const { user, current } = edit(
    { sources: [{ name: 'db', postgres: 'postgresql://me@host/db' }] },
    { secureJsonFields: { 'db.postgresPassword': true } }
  );
  expect(field('Source 1: password')).toBeDisabled();
  await user.click(screen.getByText('Reset'));
  expect(current().secureJsonFields).toEqual({ 'db.postgresPassword': false });
  await user.type(field('Source 1: password'), 'x');
  expect(current().secureJsonData).toEqual({ 'db.postgresPassword': 'x' });
});

it('says what is wrong with names, addresses and passwords in a URL', () => {
  edit({
    sources: [
      { name: 'a b', address: 'host' },
      { name: 'twin', postgres: 'postgresql://me:secret@host/db' },
      { name: 'Twin', path: 'x' },
    ],
  });
  expect(screen.getByText('Letters, digits, - and _')).toBeInTheDocument();
  expect(screen.getByText('host:port, such as ceems-host:9443')).toBeInTheDocument();
  expect(screen.getByText('A URL postgresql:// without a password')).toBeInTheDocument();
  expect(screen.getByText('A full path, which starts with /')).toBeInTheDocument();
  expect(screen.getAllByText('Another source has this name')).toHaveLength(2);
});

it('sets how long a source may take, and what happens without it', async () => {
  const { user, current } = edit({ sources: [{ name: 'a', path: '/a' }] });
  await user.type(field('Time for each source'), '5s');
  await choose(user, 'When a source does not answer', 'Error');
  expect(current().jsonData).toMatchObject({ sourceTimeout: '5s', onSourceFailure: 'error' });
});

it('cannot be changed where a file provides the settings', () => {
  edit({ sources: [{ name: 'a', address: 'h:1' }] }, { readOnly: true });
  for (const input of document.querySelectorAll('input:not([type=hidden]), textarea')) {
    expect(input).toBeDisabled();
  }
  expect(screen.getByText('Add a source').closest('button')).toBeDisabled();
});
