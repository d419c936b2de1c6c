import { CeemsQuery, Format, ListFilter, QueryType } from '../types';

const LISTS: ListFilter[] = ['clusters', 'resourceManagers', 'projects', 'users', 'uuids', 'states'];
const PARTS = [
  'mode',
  'running',
  'runningAt',
  'live',
  'of',
  'bounds',
  'step',
  'minStep',
  'source',
  'timezone',
  'compare',
  'filters',
  'groupBy',
  'classes',
  'exactGroupBy',
  'orderBy',
  'limit',
] as const;

/** The parts and texts of the editor for a query type. */
export interface QueryTypeInfo {
  label: string;
  /** A one-sentence description. */
  sentence: string;
  /** The description of live answers. */
  liveSentence?: string;
  /** The lists of rows to choose by. */
  lists: ListFilter[];
  /** The other parts of a query that this type uses. */
  parts: Array<(typeof PARTS)[number]>;
  /** Formats of the answer; the first is the default of the backend. */
  formats: Format[];
}

export const QUERY_TYPES: Record<QueryType, QueryTypeInfo> = {
  units: {
    label: 'Units',
    sentence:
      'One row for each job, virtual machine or pod that ended within the time range, with everything that is known about it.',
    liveSentence: 'One row for each job, virtual machine or pod that is running now, whatever the time range.',
    lists: ['clusters', 'resourceManagers', 'projects', 'users', 'uuids', 'states'],
    parts: ['running', 'runningAt', 'live', 'filters', 'orderBy', 'limit'],
    formats: ['table'],
  },
  usage: {
    label: 'Usage',
    sentence:
      'Sums and weighted averages of time, energy and emissions: one row per group, or one row over everything.',
    lists: ['clusters', 'resourceManagers', 'projects', 'users'],
    parts: [
      'mode',
      'source',
      'timezone',
      'compare',
      'filters',
      'groupBy',
      'classes',
      'exactGroupBy',
      'orderBy',
      'limit',
    ],
    formats: ['table', 'numeric'],
  },
  'usage-over-time': {
    label: 'Usage over time',
    sentence: 'Usage per quarter of an hour, hour, day, week or month: one time series per group.',
    lists: ['clusters', 'resourceManagers', 'projects', 'users'],
    parts: ['step', 'minStep', 'source', 'timezone', 'compare', 'filters', 'groupBy', 'classes'],
    formats: ['wide', 'multi'],
  },
  distribution: {
    label: 'Distribution',
    sentence:
      'How many units have which values of a field, for histograms and heatmaps; or the values that 50, 90, 95 and 99 percent of the units do not exceed.',
    lists: ['clusters', 'resourceManagers', 'projects', 'users'],
    parts: ['of', 'bounds', 'step', 'minStep', 'source', 'timezone', 'filters', 'groupBy', 'classes'],
    formats: ['histogram', 'heatmap', 'quantiles', 'table'],
  },
  stats: {
    label: 'Statistics',
    sentence: 'How many units, projects and users each cluster has. For administrators.',
    liveSentence:
      'How many units, projects and users each cluster has within the last 24 hours, or over all time. For administrators.',
    lists: ['clusters', 'resourceManagers'],
    parts: ['mode', 'live', 'timezone', 'compare', 'filters', 'orderBy', 'limit'],
    formats: ['table', 'numeric'],
  },
  users: {
    label: 'Users',
    sentence: 'Users and the projects that they are members of.',
    lists: ['clusters', 'resourceManagers', 'projects', 'users'],
    parts: ['filters', 'orderBy', 'limit'],
    formats: ['table'],
  },
  projects: {
    label: 'Projects',
    sentence: 'Projects and their members.',
    lists: ['clusters', 'resourceManagers', 'projects', 'users'],
    parts: ['filters', 'orderBy', 'limit'],
    formats: ['table'],
  },
  clusters: {
    label: 'Clusters',
    sentence: 'Clusters and the resource manager that runs each. For administrators.',
    lists: ['clusters', 'resourceManagers'],
    parts: ['orderBy', 'limit'],
    formats: ['table'],
  },
};

export const DEFAULT_QUERY_TYPE: QueryType = 'units';

/** Columns that every usage can be grouped by. */
export const GROUP_COLUMNS = [
  { value: 'cluster_id', label: 'Cluster' },
  { value: 'resource_manager', label: 'Resource manager' },
  { value: 'project', label: 'Project' },
  { value: 'groupname', label: 'Unix group' },
  { value: 'username', label: 'User' },
];

/** Further columns that usage from units can be grouped by, besides tags and allocation. */
export const UNIT_GROUP_COLUMNS = [
  { value: 'state', label: 'State' },
  { value: 'name', label: 'Name' },
];

/** The editor parts of a query's type. A type from a variable, or an unknown one, is shown like units. */
export function queryTypeInfo(queryType: string | undefined): QueryTypeInfo {
  return isQueryType(queryType) ? QUERY_TYPES[queryType] : QUERY_TYPES[DEFAULT_QUERY_TYPE];
}

export function isQueryType(text: string | undefined): text is QueryType {
  return text !== undefined && Object.hasOwn(QUERY_TYPES, text);
}

/** Changes the type of a query. Keeps the parts with the same meaning, and drops those that the new type lacks. */
export function changeQueryType(query: CeemsQuery, queryType: QueryType): CeemsQuery {
  const info = QUERY_TYPES[queryType];
  const next: CeemsQuery = { ...query, queryType };
  for (const list of LISTS.filter((name) => !info.lists.includes(name))) {
    delete next[list];
  }
  for (const part of PARTS.filter((name) => !info.parts.includes(name))) {
    delete next[part];
  }
  if (!info.parts.includes('step') && !next.compare) {
    delete next.timezone;
  }
  if (!info.formats.some((format) => format === next.format)) {
    delete next.format;
  }
  if (columnsOf(query.queryType) !== columnsOf(queryType)) {
    // The types have few columns in common, and an order or condition on a missing column is an error.
    delete next.fields;
    delete next.orderBy;
    delete next.filters;
  }
  return next;
}

/** Query types that answer with the same columns have the same word. */
function columnsOf(queryType: string | undefined): string {
  return queryType === 'usage-over-time' ? 'usage' : (queryType ?? DEFAULT_QUERY_TYPE);
}
