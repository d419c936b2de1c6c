import { CurrentUserDTO, DataSourceInstanceSettings, dateTime, TimeRange } from '@grafana/data';
import { DataSourceSrv, setBackendSrv, setCurrentUser, setDataSourceSrv, setTemplateSrv } from '@grafana/runtime';
import { Templates } from '../src/test/templates';
import type { CeemsOptions } from '../src/types';
import { backend } from './backend';

/** What the server says about itself when the page starts. */
interface FrontendSettings {
  user: CurrentUserDTO;
  /** The first is the data source that the page is about. */
  datasources: Array<DataSourceInstanceSettings<CeemsOptions>>;
}

/** What the page's address says: which editor, where in Grafana, and what to begin with. */
export interface Place {
  editor: string;
  app?: string;
  /** What was stored before: a query. */
  stored?: object;
  variables: Record<string, string | string[]>;
  range: TimeRange;
}

export function readPlace(address: URLSearchParams): Place {
  const json = (name: string) => JSON.parse(address.get(name) ?? 'null') ?? undefined;
  const time = (name: string) => dateTime(Number(address.get(name)));
  const [start, end] = [time('from'), time('to')];
  return {
    editor: address.get('editor') ?? 'query',
    app: address.get('app') ?? undefined,
    stored: json('stored'),
    variables: json('variables') ?? {},
    range: { from: start, to: end, raw: { from: start, to: end } },
  };
}

/** Gives the real @grafana/runtime what Grafana gives it when it starts. Returns the settings of the data source. */
export async function startGrafana({ variables }: Place): Promise<DataSourceInstanceSettings<CeemsOptions>> {
  const response = await window.fetch('/api/frontend/settings');
  const { user, datasources }: FrontendSettings = await response.json();
  setCurrentUser(user);
  setBackendSrv(backend);
  setTemplateSrv(new Templates(variables));
  setDataSourceSrv({
    getInstanceSettings: (ref) => {
      const uid = typeof ref === 'string' ? ref : ref?.uid;
      return datasources.find((one) => one.uid === uid);
    },
    getList: ({ filter } = {}) => datasources.filter((one) => !filter || filter(one)),
  } as Partial<DataSourceSrv> as DataSourceSrv);
  const [own] = datasources;
  if (own === undefined) {
    throw new Error('The server has no data source.');
  }
  return own;
}
