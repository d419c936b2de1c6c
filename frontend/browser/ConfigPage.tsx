import { DataSourceSettings } from '@grafana/data';
import { Alert, Button } from '@grafana/ui';
import React, { useState } from 'react';
import { lastValueFrom } from 'rxjs';
import type { CeemsOptions } from '../src/types';
import { backend } from './backend';
import { Model } from './Model';
import type { PageProps } from './pageProps';

type Settings = DataSourceSettings<CeemsOptions>;
type Health = { status: string; message: string };

/** The settings of the data source. The button stores them and asks for the data source's health, as Grafana's does. */
export function ConfigPage({ plugin, datasource }: PageProps) {
  const { ConfigEditor } = plugin.components;
  const [settings, setSettings] = useState<Settings>(() => settingsOf(datasource));
  const [health, setHealth] = useState<Health>();
  const saveAndTest = async () => {
    setHealth(undefined);
    const url = `/api/datasources/uid/${settings.uid}`;
    await lastValueFrom(backend.fetch({ url, method: 'PUT', data: settings }));
    setHealth(await test(() => datasource.testDatasource()));
  };
  return (
    <>
      {ConfigEditor && <ConfigEditor options={settings} onOptionsChange={setSettings} />}
      <Model name="Settings" value={settings.jsonData} />
      {health && <Alert severity={health.status === 'success' ? 'success' : 'error'} title={health.message} />}
      <Button onClick={() => void saveAndTest()}>Save &amp; test</Button>
    </>
  );
}

async function test(ask: () => Promise<Health>): Promise<Health> {
  try {
    return await ask();
  } catch (reason) {
    // Grafana's class rejects with an object of this form where the health is bad.
    return { status: 'error', message: (reason as Health).message };
  }
}

function settingsOf(datasource: PageProps['datasource']): Settings {
  const { id, uid, name, type } = datasource;
  return { id, uid, name, type, readOnly: false, jsonData: datasource.options } as Partial<Settings> as Settings;
}
