import { AdHocVariableFilter, ScopedVars } from '@grafana/data';
import { TemplateSrv } from '@grafana/runtime';
import { matchingRegex } from '../links/regexes';
import { ianaZone } from './timezone';
import { CeemsQuery, Condition, ListFilter } from '../types';

/** The value of a variable that is set to All, which means no condition. */
const EVERYTHING = new Set(['$__all', '*', '.*', '.+']);
const LISTS: ListFilter[] = ['clusters', 'resourceManagers', 'projects', 'users', 'uuids', 'states'];
/** Operators of regular expressions: several values of a variable are alternatives. */
const PATTERNS = new Set(['=~', '!~']);
const LIST_OPERATORS: Record<string, string> = { '=': '=|', '!=': '!=|', '=|': '=|', '!=|': '!=|' };

/** Replaces template variables in the parts of a query. */
export class Interpolation {
  constructor(
    private readonly templates: TemplateSrv,
    private readonly scopedVars: ScopedVars = {}
  ) {}

  /** The query with every variable replaced and the dashboard's ad hoc filters added, as the backend takes it. */
  query(query: CeemsQuery, adHocFilters: AdHocVariableFilter[] = []): CeemsQuery {
    const next: CeemsQuery = { ...query };
    for (const list of LISTS) {
      setOrDrop(next, list, this.choice(asList(query[list])));
    }
    setOrDrop(next, 'fields', this.names(asList(query.fields)));
    setOrDrop(next, 'groupBy', this.names(asList(query.groupBy)));
    setOrDrop(next, 'orderBy', this.names(asList(query.orderBy)));
    for (const part of [
      'queryType',
      'mode',
      'runningAt',
      'of',
      'source',
      'step',
      'minStep',
      'compare',
      'format',
      'legend',
    ] as const) {
      setOrDrop(next, part, this.word(query[part]));
    }
    const timezone = this.word(query.timezone);
    setOrDrop(next, 'timezone', timezone && ianaZone(timezone));
    setOrDrop(next, 'admin', flag(query.admin, this));
    setOrDrop(next, 'running', flag(query.running, this));
    setOrDrop(next, 'exactGroupBy', flag(query.exactGroupBy, this));
    setOrDrop(next, 'live', flag(query.live, this));
    setOrDrop(next, 'limit', this.limit(query.limit));
    setOrDrop(next, 'filters', this.conditions([...(query.filters ?? []), ...adHocFilters.map(fromAdHoc)]));
    return next;
  }

  /** All values that a text stands for: a variable with several values gives several texts. */
  values(text: string): string[] {
    const held: string[][] = [];
    const marked = this.templates.replace(text, this.scopedVars, (value: string | string[] | undefined) => {
      held.push((Array.isArray(value) ? value : [value ?? '']).map(String));
      return `\u0000${held.length - 1}\u0000`;
    });
    // Even parts are text, odd parts are names of variables.
    return marked
      .split('\u0000')
      .reduce<string[]>(
        (texts, part, index) =>
          index % 2 === 0
            ? texts.map((start) => start + part)
            : texts.flatMap((start) => (held[Number(part)] ?? []).map((value) => start + value)),
        ['']
      );
  }

  /** Values of a list that chooses rows. A variable set to All, or to nothing, chooses all rows: the list is empty then. */
  choice(list: string[]): string[] {
    const values = list.flatMap((text) => this.values(text)).map((value) => value.trim());
    return values.some((value) => EVERYTHING.has(value)) ? [] : unique(values.filter((value) => value !== ''));
  }

  /** Whether a list names values, and its variables leave nothing of it although none of them is set to All. */
  isUnset(list: string[]): boolean {
    const values = list.flatMap((text) => this.values(text)).map((value) => value.trim());
    return list.length > 0 && values.every((value) => value === '');
  }

  /** A text with one value in place of each variable; undefined if the result is empty. */
  word(text: string | undefined): string | undefined {
    return text === undefined ? undefined : this.values(text).join(',').trim() || undefined;
  }

  /** The limit as a number. All means no limit; a text that is no number goes to the backend, which says what is wrong. */
  limit(limit: number | string | undefined): number | string | undefined {
    if (typeof limit !== 'string') {
      return limit;
    }
    const text = this.word(limit);
    if (text === undefined || EVERYTHING.has(text)) {
      return undefined;
    }
    const number = Number(text);
    return Number.isInteger(number) ? number : text;
  }

  /** Conditions without those that are not finished, or whose variable is set to All or to nothing. */
  conditions(conditions: Condition[]): Condition[] {
    return conditions.flatMap((condition): Condition[] => {
      const key = this.word(condition.key);
      const value = this.conditionValue(condition.value);
      if (key === undefined || value === undefined) {
        return [];
      }
      const operator = this.word(condition.operator) ?? '=';
      const next = { ...condition, key, operator };
      const listOperator = LIST_OPERATORS[operator];
      if (listOperator === operator) {
        return [{ ...next, value: Array.isArray(value) ? value : [String(value)] }];
      }
      if (!Array.isArray(value)) {
        return [{ ...next, value }];
      }
      if (PATTERNS.has(operator)) {
        return [{ ...next, value: value.map(matchingRegex).join('|') }];
      }
      return [listOperator ? { ...next, operator: listOperator, value } : { ...next, value: value.join(',') }];
    });
  }

  private conditionValue(value: Condition['value']): Condition['value'] {
    if (typeof value === 'number' || value === undefined) {
      return value;
    }
    const texts = Array.isArray(value) ? value : [value];
    const values = texts.flatMap((text) => this.values(text));
    const fromVariable = texts.some((text) => this.templates.containsTemplate(text));
    if (values.some((text) => EVERYTHING.has(text)) || (fromVariable && values.every((text) => text === ''))) {
      return undefined;
    }
    if (Array.isArray(value)) {
      return values.length > 0 ? unique(values) : undefined;
    }
    return values.length === 1 ? values[0] : unique(values);
  }

  private names(list: string[]): string[] {
    return unique(list.flatMap((text) => this.values(text)).filter((name) => name !== '' && !EVERYTHING.has(name)));
  }
}

/** A stored list. Queries that were written by hand may have a single text instead. */
export function asList(value: string[] | string | undefined): string[] {
  if (value === undefined || value === '') {
    return [];
  }
  return Array.isArray(value) ? value : [value];
}

/** Grafana's ad hoc filter as a condition; operators that are not ours stay, so that the backend says which ones are. */
export function fromAdHoc(filter: AdHocVariableFilter): Condition {
  const isList = filter.operator === '=|' || filter.operator === '!=|';
  return {
    key: filter.key,
    operator: filter.operator,
    value: isList ? (filter.values ?? [filter.value]) : filter.value,
    adHoc: true,
  };
}

function flag<T extends boolean | string>(value: T | undefined, texts: Interpolation): boolean | string | undefined {
  if (typeof value !== 'string') {
    return value;
  }
  const word = texts.word(value);
  return word === 'true' || word === 'false' ? word === 'true' : word;
}

function setOrDrop<K extends keyof CeemsQuery>(query: CeemsQuery, key: K, value: CeemsQuery[K] | undefined): void {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) {
    delete query[key];
  } else {
    query[key] = value;
  }
}

function unique(values: string[]): string[] {
  return [...new Set(values)];
}
