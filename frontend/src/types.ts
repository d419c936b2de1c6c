import { DataSourceJsonData } from '@grafana/data';
import { DataQuery } from '@grafana/schema';
import type { AnnotationLook } from './annotations/look';

/** The query types; docs/query.md describes each. */
export type QueryType =
  'units' | 'usage' | 'usage-over-time' | 'distribution' | 'stats' | 'users' | 'projects' | 'clusters';
export type Mode = 'current' | 'global';
export type Format = 'table' | 'numeric' | 'wide' | 'multi' | 'histogram' | 'heatmap' | 'quantiles';
export type Source = 'units' | 'prorated' | 'daily';
export type Period = 'previous' | 'year';
/** Lengths of steps, from short to long. */
export type Step = 'quarter-hour' | 'hour' | 'day' | 'week' | 'month';

/** Query as an administrator: yes, no, or if the user is one. */
export type AsAdmin = boolean | 'auto';

export type Operator = '=' | '!=' | '=|' | '!=|' | '=~' | '!~' | '<' | '<=' | '>' | '>=';

/** A condition on a column (`elapsed`) or one key of it (`avg_cpu_usage.global`). Without a value it is incomplete. */
export interface Condition {
  key: string;
  operator: string;
  value?: string | number | string[];
  /** The condition is an ad hoc filter of the dashboard: a query type without the column passes it over. */
  adHoc?: boolean;
}

/** Classes of numbers: each bound starts one. */
export interface Classes {
  key: string;
  bounds: number[];
}

/** The lists of a query that select rows. */
export type ListFilter = 'clusters' | 'resourceManagers' | 'projects' | 'users' | 'uuids' | 'states';

/**
 * A query as panels store it and the backend reads it. Every text may contain template variables. For this reason, the flags and
 * the limit may be texts too; they are converted before the backend receives them.
 */
export interface CeemsQuery extends DataQuery {
  /** Determines what absent keys mean; see docs/query.md, "Versions". Absent: 1. */
  version?: number;
  queryType?: QueryType | (string & {});
  mode?: Mode | (string & {});
  admin?: AsAdmin | (string & {});
  clusters?: string[];
  resourceManagers?: string[];
  projects?: string[];
  users?: string[];
  uuids?: string[];
  states?: string[];
  running?: boolean | string;
  /** Which units are running in a time range of the past: those that ran then, or those of now. */
  runningAt?: 'range' | 'now' | (string & {});
  fields?: string[];
  /** The field whose values are counted; docs/query.md, "Distributions". */
  of?: string;
  /** The bounds of buckets. */
  bounds?: number[];
  groupBy?: string[];
  exactGroupBy?: boolean | string;
  /** The classes that the numbers of a group are put into; docs/query.md, "Groups". */
  classes?: Classes[];
  source?: Source | (string & {});
  step?: Step | 'auto' | (string & {});
  /** The shortest step that `auto` chooses. */
  minStep?: Step | (string & {});
  filters?: Condition[];
  orderBy?: string[];
  limit?: number | string;
  /** An IANA name; `$__timezone` is the dashboard's. */
  timezone?: string;
  /** The earlier time range that is shown too; docs/query.md, "Comparison". */
  compare?: Period | (string & {});
  format?: Format | (string & {});
  /** auto, names, or a template of display names; docs/query.md, "Legends". */
  legend?: string;
  /** Only in annotations, and only in the browser. */
  annotation?: AnnotationLook;
  /** Used only in the browser: whether answers follow the database through Grafana Live. */
  live?: boolean | string;
}

/** Lists that the backend suggests values from; each is a resource `suggest/KIND`. */
export type SuggestionKind =
  | 'users'
  | 'projects'
  | 'clusters'
  | 'uuids'
  | 'states'
  | 'resource-managers'
  | 'metric-keys'
  | 'emission-providers'
  | 'fields'
  | 'tag-values';

export type FieldKind = 'identity' | 'time' | 'count' | 'metric' | 'derived' | 'allocation' | 'tag';

export interface Suggestion {
  value: string;
  label?: string;
  description?: string;
  /** Only for fields. */
  kind?: FieldKind;
  /** Only for fields: the Grafana unit. */
  unit?: string;
}

export interface Suggestions {
  values: Suggestion[];
  warnings: string[];
}

/** A template variable of a dashboard: a list of suggestions and what narrows it. */
export interface CeemsVariableQuery extends DataQuery {
  kind: SuggestionKind;
  clusters?: string[];
  projects?: string[];
  users?: string[];
  admin?: AsAdmin | (string & {});
  /** For metric keys, the column whose keys to list; for fields, the query type whose columns to list. */
  column?: string;
  limit?: number | string;
}

export type MirrorMode = 'auto' | 'memory' | 'off';

/** Secrets of a data source whose database is behind a server; certificates and the key are PEM texts. */
export interface CeemsSecrets {
  token?: string;
  caCert?: string;
  clientCert?: string;
  clientKey?: string;
}

/** One of several databases that are merged: a file, a server, or PostgreSQL. */
export interface CeemsSource {
  name: string;
  path?: string;
  timezone?: string;
  address?: string;
  tlsServerName?: string;
  plainText?: boolean;
  postgres?: string;
  postgresSchema?: string;
}

/** Settings of one data source. The backend reads the first part; the links are made in the browser. */
export interface CeemsOptions extends DataSourceJsonData {
  path?: string;
  /** host:port of a `ceems-grpc server`, instead of a path. */
  address?: string;
  tlsServerName?: string;
  /** Several databases that are merged, instead of one. */
  sources?: CeemsSource[];
  /** Durations are texts such as 1m30s, or numbers of seconds. */
  sourceTimeout?: string | number;
  onSourceFailure?: 'notice' | 'error';
  timezone?: string;
  maxQueryWindow?: string | number;
  queryTimeout?: string | number;
  rowLimit?: number;
  memoryLimit?: string;
  adminRole?: '' | 'Viewer' | 'Editor' | 'Admin';
  serviceUser?: string;
  serviceUserResources?: boolean;
  /** Tags by which members of a project may group each other's usage. Absent: partition and qos. */
  sharedTags?: string[];
  mirror?: { mode?: MirrorMode; folder?: string };

  metricsDatasourceUid?: string;
  metricsQueryTemplate?: string;
  profilesDatasourceUid?: string;
  profilesQueryTemplate?: string;
  profilesType?: string;
  unitDashboardUid?: string;
}
