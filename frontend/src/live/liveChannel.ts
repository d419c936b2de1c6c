import { LiveChannelAddress, LiveChannelScope } from '@grafana/data';
import { CeemsQuery } from '../types';

/** Grafana refuses longer channel names (`ds/UID/PATH`). */
const LONGEST_CHANNEL = 160;
/** Grafana closes the connection on messages of more than 64 KiB (`message_size_limit`); a query of this length fits. */
const LONGEST_QUESTION = 16_000;
/** The keys that form the channel's question, in the order in which they are written. */
const PARTS = [
  'admin',
  'clusters',
  'fields',
  'filters',
  'legend',
  'limit',
  'mode',
  'orderBy',
  'projects',
  'queryType',
  'resourceManagers',
  'states',
  'users',
  'uuids',
  'version',
] as const;

const CHANNELS: Record<string, string> = { units: 'units/running', stats: 'stats' };

/**
 * The Grafana Live channel for a query whose variables are replaced. Each user and question has its own channel, because Grafana
 * sends the messages of a channel to all its listeners. Undefined if there is none: for other query types, without a login, or
 * if the name or the question is longer than Grafana accepts.
 */
export function liveAddress(uid: string, login: string | undefined, query: CeemsQuery): LiveChannelAddress | undefined {
  const queryType = query.queryType ?? 'units';
  const channel = Object.hasOwn(CHANNELS, queryType) ? CHANNELS[queryType] : undefined;
  if (!channel || !login) {
    return undefined;
  }
  const question = Object.fromEntries(PARTS.map((part) => [part, part === 'queryType' ? queryType : query[part]]));
  const json = JSON.stringify(question);
  const path = `${channel}/${base64Url(login)}/${hash(json)}`;
  if (json.length > LONGEST_QUESTION || `ds/${uid}/${path}`.length > LONGEST_CHANNEL) {
    return undefined;
  }
  // Grafana before 12.4 reads `namespace`, later ones read `stream`.
  const address = { scope: LiveChannelScope.DataSource, namespace: uid, stream: uid, path, data: JSON.parse(json) };
  return address;
}

function base64Url(text: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

const HASH_START = BigInt('0xcbf29ce484222325');
const HASH_PRIME = BigInt('0x100000001b3');

/** FNV-1a with 64 bits, in hexadecimal digits. (Browsers offer their own hashes only on pages with TLS.) */
function hash(text: string): string {
  let value = HASH_START;
  for (const byte of new TextEncoder().encode(text)) {
    value = BigInt.asUintN(64, (value ^ BigInt(byte)) * HASH_PRIME);
  }
  return value.toString(16).padStart(16, '0');
}
