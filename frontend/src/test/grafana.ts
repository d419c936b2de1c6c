import {
  CurrentUserDTO,
  DataFrameJSON,
  dateTime,
  DataQueryRequest,
  DataSourceInstanceSettings,
  LiveChannelAddress,
  LiveChannelConnectionState,
  LiveChannelEvent,
  LiveChannelEventType,
  PluginType,
  TimeRange,
} from '@grafana/data';
import {
  BackendSrv,
  BackendSrvRequest,
  config,
  DataSourceSrv,
  GrafanaLiveSrv,
  setBackendSrv,
  setCurrentUser,
  setDataSourceSrv,
  setGrafanaLiveSrv,
  setTemplateSrv,
} from '@grafana/runtime';
import { from, Subject } from 'rxjs';
import { CeemsDataSource } from '../datasource';
import { CeemsOptions, CeemsQuery, Suggestion } from '../types';
import { Templates } from './templates';

// Grafana takes the user only once.
const user: Partial<CurrentUserDTO> = {};
setCurrentUser(user as CurrentUserDTO);

/** What the server side of a test answers with. */
export interface World {
  variables?: Record<string, string | string[]>;
  /** Answers of `suggest/KIND`: the values, or a function of the parameters. */
  suggest?: Record<string, Suggestion[] | ((params: Record<string, unknown>) => Suggestion[])>;
  /** Warnings that come with every list of suggestions. */
  warnings?: string[];
  /** Frames by refId. */
  frames?: Record<string, DataFrameJSON[]>;
  health?: { status: 'OK' | 'ERROR'; message: string; details?: object };
  options?: CeemsOptions;
  /** Other data sources: uid and plugin type. */
  others?: Array<{ uid: string; name: string; type: string }>;
  permissions?: string[];
  /** Who is signed in; nobody if empty. */
  login?: string;
}

/** A channel of Grafana Live that the browser listens to. */
export interface Channel {
  address: LiveChannelAddress;
  send: (frame: DataFrameJSON) => void;
  /** What a listener gets with the word that it may listen. */
  welcome: (frame: DataFrameJSON) => void;
  fail: (error: string) => void;
  isHeard: () => boolean;
}

export interface Grafana {
  datasource: CeemsDataSource;
  /** Every request to the server, oldest first. */
  requests: BackendSrvRequest[];
  /** Parameters of the requests for a list of suggestions. */
  asked: (kind: string) => Array<Record<string, unknown>>;
  /** Queries that were sent to the backend. */
  queries: () => CeemsQuery[];
  /** Channels that were asked for, oldest first. */
  channels: Channel[];
}

export const RANGE: TimeRange = {
  from: dateTime(1_700_000_000_000),
  to: dateTime(1_700_086_400_000),
  raw: { from: 'now-1d', to: 'now' },
};

/**
 * Sets up what Grafana gives to a plugin in the browser. The data source and Grafana's own class below it are the real ones;
 * only what crosses the network is answered here.
 */
export function startGrafana(world: World = {}): Grafana {
  const requests: BackendSrvRequest[] = [];
  const channels: Channel[] = [];
  setTemplateSrv(new Templates(world.variables));
  user.permissions = Object.fromEntries((world.permissions ?? ['datasources:explore']).map((name) => [name, true]));
  config.bootData.user.login = world.login ?? 'alice';
  setGrafanaLiveSrv({
    getStream: (address: LiveChannelAddress) => {
      const events = new Subject<LiveChannelEvent>();
      channels.push(channelOf(address, events));
      return events;
    },
  } as Partial<GrafanaLiveSrv> as GrafanaLiveSrv);
  setBackendSrv({
    fetch: (request: BackendSrvRequest) => {
      requests.push(request);
      return from(answer(request, world));
    },
  } as unknown as BackendSrv);
  const settings = [settingsOf('ceems', 'CEEMS', 'ceems-ceems-datasource', world.options)];
  settings.push(...(world.others ?? []).map(({ uid, name, type }) => settingsOf(uid, name, type)));
  const find = (ref: unknown) => {
    const uid = typeof ref === 'string' ? ref : (ref as { uid?: string } | null | undefined)?.uid;
    return settings.find((one) => one.uid === uid);
  };
  setDataSourceSrv({
    getInstanceSettings: find,
    getList: ({ filter } = {}) => settings.filter((one) => !filter || filter(one)),
  } as DataSourceSrv);
  const [own] = settings;
  return {
    datasource: new CeemsDataSource(own as DataSourceInstanceSettings<CeemsOptions>),
    requests,
    channels,
    asked: (kind) =>
      requests.filter(({ url }) => url.endsWith(`/resources/suggest/${kind}`)).map(({ params }) => params ?? {}),
    queries: () => requests.flatMap(({ data }) => (data?.queries ?? []) as CeemsQuery[]),
  };
}

/** A request of a dashboard's panel. */
export function panelRequest(
  targets: CeemsQuery[],
  rest: Partial<DataQueryRequest<CeemsQuery>> = {}
): DataQueryRequest<CeemsQuery> {
  return { targets, range: RANGE, scopedVars: {}, requestId: 'panel', ...rest } as DataQueryRequest<CeemsQuery>;
}

/** A frame as the server sends it. */
export function frameJson(columns: Array<[name: string, type: string, values: unknown[]]>): DataFrameJSON {
  return {
    schema: { fields: columns.map(([name, type]) => ({ name, type })) },
    data: { values: columns.map(([, , values]) => values) },
  } as DataFrameJSON;
}

function channelOf(address: LiveChannelAddress, events: Subject<LiveChannelEvent>): Channel {
  const status = (state: LiveChannelConnectionState, more: object) =>
    events.next({ type: LiveChannelEventType.Status, id: address.path, timestamp: 0, state, ...more });
  return {
    address,
    send: (message) => events.next({ type: LiveChannelEventType.Message, message }),
    welcome: (message) => status(LiveChannelConnectionState.Connected, { message }),
    fail: (error) => status(LiveChannelConnectionState.Disconnected, { error }),
    isHeard: () => events.observed,
  };
}

function settingsOf(uid: string, name: string, type: string, jsonData: CeemsOptions = {}) {
  return {
    id: 1,
    uid,
    name,
    type,
    jsonData,
    access: 'proxy',
    readOnly: false,
    meta: { id: type, name, type: PluginType.datasource, info: { logos: { small: '', large: '' } } },
  } as unknown as DataSourceInstanceSettings<CeemsOptions>;
}

async function answer({ url, params, data }: BackendSrvRequest, world: World): Promise<unknown> {
  if (url.endsWith('/health')) {
    return world.health?.status === 'OK' ? { data: world.health } : Promise.reject({ data: world.health });
  }
  const kind = url.split('/resources/suggest/')[1];
  if (kind !== undefined) {
    const list = world.suggest?.[kind];
    if (list === undefined) {
      return Promise.reject({ status: 500, data: { status: 'error', data: null, error: `no ${kind} to be had` } });
    }
    const values = typeof list === 'function' ? list(params ?? {}) : list;
    return { data: { status: 'success', data: values, warnings: world.warnings } };
  }
  const queries = (data?.queries ?? []) as CeemsQuery[];
  const results = queries.map(({ refId }) => [refId, { frames: world.frames?.[refId] ?? [] }]);
  return { status: 200, data: { results: Object.fromEntries(results) } };
}
