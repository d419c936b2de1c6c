import { DataFrame, DataLink, Field, FieldConfig, FieldType } from '@grafana/data';
import { asList } from '../query/interpolation';
import { markRegexes, matchingRegex } from './regexes';
import { CeemsOptions, CeemsQuery } from '../types';

/** The dashboard of one unit that ships with the plugin. */
export const DEFAULT_UNIT_DASHBOARD_UID = 'ceems-unit';

/** Queries of the metrics that CEEMS records for each unit; one on a line. */
export const DEFAULT_METRICS_TEMPLATE = [
  'uuid:ceems_cpu_usage:ratio_irate{uuid="${uuid}"}',
  'uuid:ceems_cpu_memory_usage:ratio{uuid="${uuid}"}',
  'uuid:ceems_host_power_watts:pue{uuid="${uuid}"}',
  'uuid:ceems_gpu_usage:ratio{uuid="${uuid}"}',
].join('\n');

/** Profiles of CEEMS carry the unit's identifier as the name of the service. */
export const DEFAULT_PROFILES_TEMPLATE = '{service_name="${uuid}"}';
export const DEFAULT_PROFILE_TYPE = 'process_cpu:cpu:nanoseconds:cpu:nanoseconds';

/** Columns that the links of a row are made from, besides its uuid. */
const NEEDED = ['cluster_id', 'started_at', 'ended_at'];

/** Hidden columns with the parts of a row's links. They are texts, so that no display setting changes them. */
const CLUSTER = 'link_cluster_id';
const STARTED = 'link_started';
const FROM = 'link_from';
const TO = 'link_to';
const UUID_REGEX = 'link_uuid_regex';
const CLUSTER_REGEX = 'link_cluster_id_regex';

// Grafana replaces these with the values of the row that is clicked.
const ROW = {
  uuid: '${__data.fields.uuid:percentencode}',
  cluster: `\${__data.fields.${CLUSTER}:percentencode}`,
  started: `\${__data.fields.${STARTED}:percentencode}`,
  from: `\${__data.fields.${FROM}:percentencode}`,
  to: `\${__data.fields.${TO}:percentencode}`,
  uuidRegex: `\${__data.fields.${UUID_REGEX}:percentencode}`,
  clusterRegex: `\${__data.fields.${CLUSTER_REGEX}:percentencode}`,
};

/** The input for links: the settings, and facts about the running Grafana. */
export interface LinkSettings {
  options: CeemsOptions;
  /** Uid of this data source. */
  uid: string;
  /** Whether the user may open Explore. */
  explore: boolean;
  /** The plugin type of the data source with this uid; undefined if there is none. */
  typeOf: (uid: string) => string | undefined;
}

/** The links of a unit, for the uuid column: to its dashboard, its metrics and its profiles, at the unit's own time range. */
export function unitLinks({ options, uid, explore, typeOf }: LinkSettings): DataLink[] {
  const links: DataLink[] = [];
  const dashboard = options.unitDashboardUid ?? DEFAULT_UNIT_DASHBOARD_UID;
  if (dashboard !== '') {
    // The start distinguishes the unit from others that had the same uuid years ago.
    const unit = `var-uuid=${ROW.uuid}&var-cluster=${ROW.cluster}&var-started=${ROW.started}`;
    const variables = `${unit}&var-datasource=${encodeURIComponent(uid)}`;
    links.push({
      title: 'Unit dashboard',
      url: `/d/${encodeURIComponent(dashboard)}?${variables}&from=${ROW.from}&to=${ROW.to}`,
    });
  }
  const metrics = options.metricsDatasourceUid;
  const metricsType = metrics && explore ? typeOf(metrics) : undefined;
  if (metrics && metricsType) {
    const template = options.metricsQueryTemplate?.trim() || DEFAULT_METRICS_TEMPLATE;
    const lines = template.split('\n').map((line) => line.trim());
    const queries = lines.filter((line) => line !== '').map((expr) => ({ expr: markRegexes(expr), range: true }));
    links.push({ title: 'Metrics in Explore', url: exploreUrl(metrics, metricsType, queries) });
  }
  const profiles = options.profilesDatasourceUid;
  const profilesType = profiles && explore ? typeOf(profiles) : undefined;
  if (profiles && profilesType) {
    const query = {
      labelSelector: markRegexes(options.profilesQueryTemplate?.trim() || DEFAULT_PROFILES_TEMPLATE),
      profileTypeId: options.profilesType?.trim() || DEFAULT_PROFILE_TYPE,
      queryType: 'profile',
      groupBy: [],
    };
    links.push({ title: 'Profiles in Explore', url: exploreUrl(profiles, profilesType, [query]) });
  }
  return links;
}

/** Columns to request in addition to the chosen ones, for the links. They are removed from the answer. */
export function columnsForLinks(query: CeemsQuery): string[] {
  const fields = asList(query.fields);
  const isTable = (query.queryType ?? 'units') === 'units' && (query.format ?? 'table') === 'table';
  return isTable && fields.includes('uuid') ? NEEDED.filter((name) => !fields.includes(name)) : [];
}

/** The frame with links on its uuid column, if any, without the columns that were requested only for the links. */
export function addUnitLinks(frame: DataFrame, links: DataLink[], onlyForLinks: string[]): DataFrame {
  const uuid = frame.fields.find((field) => field.name === 'uuid' && field.type === FieldType.string);
  if (!uuid || links.length === 0) {
    return frame;
  }
  const column = (name: string) => frame.fields.find((field) => field.name === name);
  const [cluster, started, ended] = NEEDED.map(column);
  const rows = Array.from({ length: frame.length }, (_, row) => row);
  const value = (field: Field | undefined, row: number) => field?.values[row] ?? undefined;
  const fields = frame.fields
    .filter((field) => !onlyForLinks.includes(field.name))
    .map((field) =>
      field === uuid
        ? { ...field, config: { ...field.config, links: [...(field.config.links ?? []), ...links] } }
        : field
    );
  return {
    ...frame,
    fields: [
      ...fields,
      hidden(
        CLUSTER,
        rows.map((row) => String(value(cluster, row) ?? ''))
      ),
      hidden(
        STARTED,
        rows.map((row) => String(value(started, row) ?? ''))
      ),
      hidden(
        FROM,
        rows.map((row) => String(value(started, row) ?? 'now-1h'))
      ),
      hidden(
        TO,
        rows.map((row) => String(value(ended, row) ?? 'now'))
      ),
      ...[
        { name: UUID_REGEX, of: uuid },
        { name: CLUSTER_REGEX, of: cluster },
      ]
        .filter(({ name }) => links.some(({ url }) => url.includes(name)))
        .map(({ name, of }) =>
          hidden(
            name,
            rows.map((row) => matchingRegex(String(value(of, row) ?? '')))
          )
        ),
    ],
  };
}

function hidden(name: string, values: string[]): Field<string> {
  // Tables use `hidden` up to Grafana 12.1, and `hideFrom` since.
  const config: FieldConfig = { custom: { hidden: true, hideFrom: { viz: true, legend: true, tooltip: true } } };
  return { name, type: FieldType.string, config, values };
}

function exploreUrl(uid: string, type: string, queries: object[]): string {
  const pane = {
    datasource: uid,
    queries: queries.map((query, index) => ({ refId: refId(index), datasource: { uid, type }, ...query })),
    range: { from: '${from}', to: '${to}' },
  };
  const panes = encodeURIComponent(plainJson({ unit: pane }))
    .replaceAll('%24%7Buuid%3Aregex%7D', ROW.uuidRegex)
    .replaceAll('%24%7Bcluster_id%3Aregex%7D', ROW.clusterRegex)
    .replaceAll(/%24%7Buuid%7D|%24uuid(?![A-Za-z0-9_])/g, ROW.uuid)
    .replaceAll(/%24%7Bcluster_id%7D|%24cluster_id(?![A-Za-z0-9_])/g, ROW.cluster)
    .replace('%24%7Bfrom%7D', ROW.from)
    .replace('%24%7Bto%7D', ROW.to);
  return `/explore?schemaVersion=1&panes=${panes}`;
}

/**
 * JSON in which no text contains a character with a meaning in URLs, because Grafana 12.4 and newer decode percent encoding in
 * links before they use them. The structure and variables are unchanged.
 */
function plainJson(value: object): string {
  return JSON.stringify(value).replace(
    /\\"|\\\\|[^ -~]|[&#+%;<>`' ]/g,
    (found) =>
      `\\u${found
        .charCodeAt(found.length - 1)
        .toString(16)
        .padStart(4, '0')}`
  );
}

function refId(index: number): string {
  return index < 26 ? String.fromCharCode(65 + index) : `Q${index + 1}`;
}
