import { DataSourceApi, ScopedVars } from '@grafana/data';
import { Interpolation } from '../query/interpolation';
import { AsAdmin, CeemsOptions, CeemsQuery, Suggestion, SuggestionKind, Suggestions } from '../types';

/** What narrows a list of suggestions. Texts may hold template variables. */
export interface SuggestionScope {
  /** Only values that start with this text. */
  prefix?: string;
  /** Only values that contain these words, or whose descriptions do. */
  search?: string;
  limit?: number | string;
  clusters?: string[];
  projects?: string[];
  users?: string[];
  /** By default, as an administrator if the user is one. */
  admin?: AsAdmin | (string & {});
  /** For metric keys, the metric; for tag values, the column or one of its keys; for fields, the query type. */
  column?: string;
  scopedVars?: ScopedVars;
}

/** The source of values for editors and variables. Both methods reject with the backend's message on errors. */
export interface SuggestionSource {
  suggest(kind: SuggestionKind, scope?: SuggestionScope): Promise<Suggestions>;
  /** Values of a column or of one of its keys, such as `tags.partition`. */
  suggestColumn(column: string, scope?: SuggestionScope): Promise<Suggestions>;
}

/** The data source as editors and variables see it. They depend on this type, and the class depends on them. */
export type SuggestingDataSource = DataSourceApi<CeemsQuery, CeemsOptions> & SuggestionSource;

export const DEFAULT_SUGGESTION_LIMIT = 100;

/** The parameters of the resource `suggest/KIND`; lists become repeated keys. */
export function suggestionParams(
  scope: SuggestionScope,
  texts: Interpolation
): Record<string, string | number | string[]> {
  const params: Record<string, string | number | string[]> = {
    limit: texts.limit(scope.limit) ?? DEFAULT_SUGGESTION_LIMIT,
    admin: texts.word(String(scope.admin ?? 'auto')) ?? 'auto',
  };
  const lists = {
    cluster_id: texts.choice(scope.clusters ?? []),
    project: texts.choice(scope.projects ?? []),
    user: texts.choice(scope.users ?? []),
  };
  for (const [name, values] of Object.entries(lists)) {
    if (values.length > 0) {
      params[name] = values;
    }
  }
  const words = { prefix: scope.prefix, search: scope.search, column: texts.word(scope.column) };
  for (const [name, word] of Object.entries(words)) {
    if (word) {
      params[name] = word;
    }
  }
  return params;
}

/** Reads the answer of `suggest/KIND`. Throws the backend's message if it is an error. */
export function readSuggestions(kind: SuggestionKind, answer: unknown): Suggestions {
  const { status, data, error, warnings } = (answer ?? {}) as Record<string, unknown>;
  if (status !== 'success' || !Array.isArray(data)) {
    throw new Error(typeof error === 'string' ? error : `The data source gave no list of ${kind}.`);
  }
  return {
    values: data.filter((item): item is Suggestion => typeof item?.value === 'string'),
    warnings: Array.isArray(warnings) ? warnings.filter((text): text is string => typeof text === 'string') : [],
  };
}
