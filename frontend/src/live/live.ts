import {
  DataFrame,
  dataFrameFromJSON,
  DataFrameJSON,
  DataQueryResponse,
  dateTime,
  isLiveChannelMessageEvent,
  isLiveChannelStatusEvent,
  LiveChannelAddress,
  LiveChannelEvent,
  LoadingState,
  TimeRange,
} from '@grafana/data';
import { config, getGrafanaLiveSrv } from '@grafana/runtime';
import {
  combineLatest,
  filter,
  from,
  ignoreElements,
  interval,
  map,
  merge,
  mergeMap,
  Observable,
  scan,
  startWith,
} from 'rxjs';
import { queryTypeInfo } from '../query/queryTypes';
import { CeemsQuery } from '../types';

/** The default number of rows of a live table. Each change sends all rows again. */
export const LIVE_ROWS = 1000;

const DAY = 86_400_000; // milliseconds
/** The backend relies on a user's role for a minute after the last request, because a channel does not carry it. */
export const CONFIRM = 30_000; // milliseconds

/** Whether a query asks for answers that follow the database. */
export function isLive(query: CeemsQuery): boolean {
  return query.live === true && !query.compare && queryTypeInfo(query.queryType).parts.includes('live');
}

/** The login whose channels this page may listen to; undefined where Grafana Live is off or nobody is signed in. */
export function listener(): string | undefined {
  const isOn = config.liveEnabled && !config.publicDashboardAccessToken && getGrafanaLiveSrv() !== undefined;
  return isOn ? config.bootData.user.login : undefined;
}

/** A live query in the form that runs once; with `liveRange` its answer equals the channel's. */
export function askOnce(query: CeemsQuery): CeemsQuery {
  return { ...query, running: true, format: 'table', limit: query.limit ?? LIVE_ROWS };
}

/**
 * The time range of a channel. For units it is empty, because a longer one would also show units that ended in it. For
 * statistics it is the last 24 hours.
 */
export function liveRange(query: CeemsQuery, now: number): TimeRange {
  const to = dateTime(now);
  const start = dateTime(query.queryType === 'stats' ? now - DAY : now);
  return { from: start, to, raw: { from: start, to } };
}

type Update = { frame: DataFrame } | { problem: string };

/**
 * The messages of a channel, each of which is a complete table. (Grafana's `getDataStream` is not used, because it appends the
 * rows of all messages to a buffer.)
 */
function updates(address: LiveChannelAddress, refId: string): Observable<Update> {
  return getGrafanaLiveSrv()
    .getStream<DataFrameJSON>(address)
    .pipe(mergeMap((event) => from(readEvent(event, refId))));
}

function readEvent(event: LiveChannelEvent<DataFrameJSON>, refId: string): Update[] {
  const isStatus = isLiveChannelStatusEvent(event);
  if (isStatus && event.error) {
    return [{ problem: errorText(event.error) }];
  }
  const json: DataFrameJSON | undefined =
    isStatus || isLiveChannelMessageEvent(event) ? (event.message ?? undefined) : undefined;
  return json?.schema ? [{ frame: { ...dataFrameFromJSON(json), refId } }] : [];
}

/** Sends a request at intervals. Its answer is ignored. */
function confirmations(confirm: () => Promise<unknown>): Observable<never> {
  return interval(CONFIRM).pipe(
    mergeMap(() => confirm().catch(() => undefined)),
    ignoreElements()
  );
}

/**
 * An answer that is replaced with each message of a channel. A failure of the channel is shown as a notice, and the last answer
 * stays. `confirm` sends any request to the backend, which takes the user's current role from it.
 */
export function follow(
  answer: Observable<DataQueryResponse>,
  address: LiveChannelAddress,
  refId: string,
  confirm: () => Promise<unknown>
): Observable<DataQueryResponse> {
  interface Shown {
    response?: DataQueryResponse;
    problem?: string;
  }
  return merge(answer.pipe(map((response) => ({ response }))), updates(address, refId), confirmations(confirm)).pipe(
    scan<{ response: DataQueryResponse } | Update, Shown>((shown, next) => {
      if ('problem' in next) {
        return { ...shown, problem: next.problem };
      }
      return 'frame' in next ? { response: { data: [next.frame] } } : { ...shown, response: next.response };
    }, {}),
    mergeMap(({ response, problem }) => from(response ? [withState(response, problem)] : []))
  );
}

function withState(response: DataQueryResponse, problem: string | undefined): DataQueryResponse {
  if (problem === undefined) {
    return { ...response, state: hasFailed(response) ? LoadingState.Error : LoadingState.Streaming };
  }
  const notice = { severity: 'warning' as const, text: `This table does not follow the database: ${problem}.` };
  const data = response.data.map((frame: DataFrame) => ({
    ...frame,
    meta: { ...frame.meta, notices: [...(frame.meta?.notices ?? []), notice] },
  }));
  return { ...response, data, state: hasFailed(response) ? LoadingState.Error : LoadingState.Done };
}

/** Merges several changing answers into one, with the frames in the order of the queries. */
export function together(
  answers: Array<Observable<DataQueryResponse>>,
  refIds: string[]
): Observable<DataQueryResponse> {
  return combineLatest(answers.map((answer) => answer.pipe(startWith(undefined)))).pipe(
    filter((parts) => parts.some((part) => part !== undefined)),
    map((parts) => {
      const responses = parts.filter((part) => part !== undefined);
      const errors = responses.flatMap((response) => response.errors ?? []);
      const data: DataFrame[] = responses.flatMap((response) => response.data);
      const place = ({ refId = '' }: DataFrame) => refIds.indexOf(refId);
      return {
        data: data.sort((one, other) => place(one) - place(other)),
        ...(errors.length > 0 && { errors }),
        state: stateOf(responses, responses.length < parts.length),
      };
    })
  );
}

function stateOf(responses: DataQueryResponse[], isWaiting: boolean): LoadingState {
  if (responses.some(hasFailed)) {
    return LoadingState.Error;
  }
  if (isWaiting) {
    return LoadingState.Loading;
  }
  const isStreaming = responses.some(({ state }) => state === LoadingState.Streaming);
  return isStreaming ? LoadingState.Streaming : LoadingState.Done;
}

function hasFailed({ state, errors }: DataQueryResponse): boolean {
  return state === LoadingState.Error || (errors ?? []).length > 0;
}

function errorText(error: unknown): string {
  const message = typeof error === 'string' ? error : (error as { message?: unknown }).message;
  return typeof message === 'string' && message !== '' ? message.replace(/\.$/, '') : 'Grafana Live does not answer';
}
