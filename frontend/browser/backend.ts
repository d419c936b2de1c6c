import type { BackendSrv, BackendSrvRequest, FetchError, FetchResponse } from '@grafana/runtime';
import { from, Observable } from 'rxjs';

/** Grafana's way to its server, as far as data sources use it: one request, its answer as JSON, and errors as FetchError. */
export const backend = { fetch } as Partial<BackendSrv> as BackendSrv;

function fetch<T>(request: BackendSrvRequest): Observable<FetchResponse<T>> {
  return from(ask<T>(request));
}

async function ask<T>(config: BackendSrvRequest): Promise<FetchResponse<T>> {
  const query = search(config.params ?? {});
  const response = await window.fetch(`/${config.url.replace(/^\//, '')}${query && `?${query}`}`, {
    method: config.method ?? 'GET',
    headers: { 'Content-Type': 'application/json', ...config.headers },
    body: config.data === undefined ? undefined : JSON.stringify(config.data),
  });
  const { status, statusText, ok, headers, redirected, type, url } = response;
  const text = await response.text();
  const data = text === '' ? undefined : JSON.parse(text);
  if (!ok) {
    throw { status, statusText, data, config } satisfies FetchError;
  }
  return { data, status, statusText, ok, headers, redirected, type, url, config };
}

/** A query string; a list becomes a repeated key, what is not set is left out. */
function search(params: Record<string, unknown>): string {
  const pairs = Object.entries(params).flatMap(([key, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((one) => one !== undefined && one !== null)
      .map((one) => [key, String(one)])
  );
  return new URLSearchParams(pairs).toString();
}
