import { CeemsQuery } from '../types';
import { DEFAULT_QUERY_TYPE, isQueryType } from './queryTypes';
import steps from './versions.json';

interface Default {
  key: string;
  /** The query types that the key belongs to; empty: all. */
  queryTypes: string[];
  before: string | boolean;
  after: string | boolean;
}

/** What changes from one version of queries to the next: the meaning of absent keys. The backend has the same table. */
const STEPS: Array<{ version: number; defaults: Default[] }> = steps;
const OLDEST_VERSION = 1;
export const CURRENT_VERSION = STEPS[STEPS.length - 1]?.version ?? OLDEST_VERSION;

/**
 * The query in the current version, with the same meaning: keys whose absence meant something else get that value. A query of a
 * newer version stays as it is; the backend says what to do about it.
 */
export function migrateQuery(query: CeemsQuery): CeemsQuery {
  const version = query.version ?? OLDEST_VERSION;
  if (version >= CURRENT_VERSION) {
    return query;
  }
  const { queryType = DEFAULT_QUERY_TYPE } = query;
  const isAbout = ({ queryTypes }: Default) =>
    queryTypes.length === 0 || !isQueryType(queryType) || queryTypes.includes(queryType);
  const next: Record<string, unknown> = { ...query };
  for (const step of STEPS.filter((one) => one.version > version)) {
    for (const entry of step.defaults.filter(isAbout)) {
      next[entry.key] ??= entry.before;
    }
  }
  return { ...(next as unknown as CeemsQuery), version: CURRENT_VERSION };
}
