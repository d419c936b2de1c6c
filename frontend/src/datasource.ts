import {
  AbstractQuery,
  AdHocVariableFilter,
  CoreApp,
  DataFrame,
  DataQueryRequest,
  DataQueryResponse,
  DataSourceApi,
  DataSourceGetTagKeysOptions,
  DataSourceGetTagValuesOptions,
  DataSourceInstanceSettings,
  DataSourceWithQueryExportSupport,
  DataSourceWithQueryImportSupport,
  LegacyMetricFindQueryOptions,
  MetricFindValue,
  ScopedVars,
} from '@grafana/data';
import { config, DataSourceWithBackend, getDataSourceSrv, getTemplateSrv, hasPermission } from '@grafana/runtime';
import { DataQuery } from '@grafana/schema';
import { map, Observable } from 'rxjs';
import { fieldsToFilterBy, suggestionKindOfColumn, toMetricFindValues } from './suggestions/adHocFilters';
import { annotationSupport } from './annotations/annotations';
import { completeQuery, defaultQuery } from './query/defaultQuery';
import { describeQuery } from './query/describeQuery';
import { fromAbstractQuery, importQuery, toAbstractQuery } from './query/importQueries';
import { asList, Interpolation } from './query/interpolation';
import { addUnitLinks, columnsForLinks, unitLinks } from './links/links';
import { askOnce, follow, isLive, listener, liveRange, together } from './live/live';
import { liveAddress } from './live/liveChannel';
import { readSuggestions, SuggestionScope, suggestionParams } from './suggestions/suggestions';
import { ianaZone } from './query/timezone';
import { migrateQuery } from './query/versions';
import { CeemsOptions, CeemsQuery, CeemsVariableQuery, SuggestionKind, Suggestions } from './types';
import { readVariableQuery } from './variables/variableQuery';
import { CeemsVariables, variableValues } from './variables/variables';

/** The caller shows errors, and Grafana Enterprise must not cache answers, because they depend on the user. */
const RESOURCE_OPTIONS = { showErrorAlert: false, headers: { 'X-Cache-Skip': 'true' } };

/** The browser's half of the data source: it prepares queries, asks the backend for suggestions, and adds links to answers. */
export class CeemsDataSource
  extends DataSourceWithBackend<CeemsQuery, CeemsOptions>
  implements DataSourceWithQueryImportSupport<CeemsQuery>, DataSourceWithQueryExportSupport<CeemsQuery>
{
  readonly options: CeemsOptions;

  constructor(settings: DataSourceInstanceSettings<CeemsOptions>) {
    super(settings);
    this.options = settings.jsonData ?? {};
    this.annotations = annotationSupport;
    this.variables = new CeemsVariables(this);
  }

  getDefaultQuery(app: CoreApp): Partial<CeemsQuery> {
    return defaultQuery(app);
  }

  getQueryDisplayText(query: CeemsQuery): string {
    return describeQuery(migrateQuery(query));
  }

  /**
   * Whether to run a query. A hidden query does not run, nor does one for certain units if the variable that names them is not
   * set: without a unit, the answer would contain all of them.
   */
  filterQuery(query: CeemsQuery): boolean {
    return !query.hide && !new Interpolation(getTemplateSrv()).isUnset(asList(query.uuids));
  }

  applyTemplateVariables(query: CeemsQuery, scopedVars: ScopedVars, filters?: AdHocVariableFilter[]): CeemsQuery {
    const next = new Interpolation(getTemplateSrv(), scopedVars).query(completeQuery(query), filters);
    const extra = this.hasLinks() ? columnsForLinks(next) : [];
    return extra.length > 0 ? { ...next, fields: [...asList(next.fields), ...extra] } : next;
  }

  query(request: DataQueryRequest<CeemsQuery>): Observable<DataQueryResponse> {
    const scopedVars = { ...request.scopedVars, __timezone: { value: ianaZone(request.timezone) } };
    const targets = request.targets.map((query) => completeQuery(query));
    // Grafana Enterprise caches answers for all users, but answers depend on the user.
    return this.addLinks({ ...request, targets, scopedVars, skipQueryCache: true });
  }

  /** Values for a drop-down. Rejects with the backend's message if it cannot answer. */
  async suggest(kind: SuggestionKind, scope: SuggestionScope = {}): Promise<Suggestions> {
    const texts = new Interpolation(getTemplateSrv(), scope.scopedVars);
    const params = suggestionParams(scope, texts);
    try {
      return readSuggestions(kind, await this.getResource(`suggest/${kind}`, params, RESOURCE_OPTIONS));
    } catch (error) {
      throw new Error(errorText(error));
    }
  }

  /** Values of a variable, for callers that do not use `variables`. */
  async metricFindQuery(
    query: CeemsVariableQuery | string,
    options?: LegacyMetricFindQueryOptions
  ): Promise<MetricFindValue[]> {
    const values = await variableValues(this, readVariableQuery(query), options?.scopedVars);
    return toMetricFindValues(values);
  }

  /** Values of a column or of one key of it, such as `tags.partition`. */
  suggestColumn(column: string, scope: SuggestionScope = {}): Promise<Suggestions> {
    const kind = suggestionKindOfColumn(column);
    return kind ? this.suggest(kind, scope) : this.suggest('tag-values', { ...scope, column });
  }

  /** Columns and keys that ad hoc filters can use. */
  async getTagKeys(_options?: DataSourceGetTagKeysOptions<CeemsQuery>): Promise<MetricFindValue[]> {
    const { values } = await this.suggest('fields', { column: 'units', limit: 1000 });
    return fieldsToFilterBy(values).map(({ value }) => ({ text: value, value }));
  }

  /** Values of one column, narrowed by the other filters. */
  async getTagValues({ key, filters }: DataSourceGetTagValuesOptions<CeemsQuery>): Promise<MetricFindValue[]> {
    const { values } = await this.suggestColumn(key, { ...scopeOf(filters ?? []), limit: 1000 });
    return toMetricFindValues(values);
  }

  async importQueries(queries: DataQuery[], _origin: DataSourceApi): Promise<CeemsQuery[]> {
    return queries.map(importQuery);
  }

  async importFromAbstractQueries(queries: AbstractQuery[]): Promise<CeemsQuery[]> {
    return queries.map(fromAbstractQuery);
  }

  async exportToAbstractQueries(queries: CeemsQuery[]): Promise<AbstractQuery[]> {
    return queries.map(toAbstractQuery);
  }

  /** Answers with links on the units, without the columns that were requested only for the links. */
  private addLinks(request: DataQueryRequest<CeemsQuery>): Observable<DataQueryResponse> {
    const links = this.links();
    if (links.length === 0) {
      return this.answer(request);
    }
    const texts = new Interpolation(getTemplateSrv(), request.scopedVars);
    const onlyForLinks = new Map(
      request.targets.map((target) => [target.refId, columnsForLinks(texts.query(target, request.filters))])
    );
    const units = new Set(request.targets.filter(isAboutUnits(texts)).map(({ refId }) => refId));
    return this.answer(request).pipe(
      map((response) => ({
        ...response,
        data: response.data.map((frame: DataFrame) =>
          frame.refId !== undefined && units.has(frame.refId)
            ? addUnitLinks(frame, links, onlyForLinks.get(frame.refId) ?? [])
            : frame
        ),
      }))
    );
  }

  /** The backend's answer. A live query gets a new one whenever the database changes. */
  private answer(request: DataQueryRequest<CeemsQuery>): Observable<DataQueryResponse> {
    const prepare = (query: CeemsQuery) => this.applyTemplateVariables(query, request.scopedVars, request.filters);
    const live = request.targets.filter((target) => isLive(prepare(target)));
    const plain = request.targets.filter((target) => !live.includes(target));
    // For public dashboards, the backend has the queries itself.
    if (live.length === 0 || config.publicDashboardAccessToken) {
      return super.query(request);
    }
    const login = listener();
    const answers = live.map((target): Observable<DataQueryResponse> => {
      const { refId } = target;
      const once = askOnce(target);
      const query = prepare(once);
      const range = liveRange(query, Date.now());
      // Grafana cancels a request when another one with its identifier starts.
      const requestId = `${request.requestId}-${refId}`;
      const first = super.query({ ...request, targets: [once], range, requestId });
      const address = liveAddress(this.uid, login, query);
      const confirm = () => this.getResource('health', undefined, { showErrorAlert: false });
      return address ? follow(first, address, refId, confirm) : first;
    });
    if (plain.length > 0) {
      answers.push(super.query({ ...request, targets: plain }));
    }
    return together(
      answers,
      request.targets.map(({ refId }) => refId)
    );
  }

  private links() {
    return unitLinks({
      options: this.options,
      uid: this.uid,
      explore: hasPermission('datasources:explore'),
      typeOf: (uid) => getDataSourceSrv().getInstanceSettings({ uid })?.type,
    });
  }

  private hasLinks(): boolean {
    return this.links().length > 0;
  }
}

function isAboutUnits(texts: Interpolation) {
  return (query: CeemsQuery) =>
    (texts.word(query.queryType) ?? 'units') === 'units' && (query.format ?? 'table') === 'table';
}

/** The restrictions on clusters, projects and users in other ad hoc filters. */
function scopeOf(filters: AdHocVariableFilter[]): SuggestionScope {
  const values = (column: string) =>
    filters
      .filter(({ key, operator }) => key === column && (operator === '=' || operator === '=|'))
      .flatMap(({ value, values }) => values ?? [value]);
  return { clusters: values('cluster_id'), projects: values('project'), users: values('username') };
}

/** The message of any error of a resource call. */
function errorText(error: unknown): string {
  const data = (error as { data?: { error?: unknown; message?: unknown } } | undefined)?.data;
  const texts = [data?.error, data?.message, (error as Error | undefined)?.message];
  return (
    texts.find((text): text is string => typeof text === 'string' && text !== '') ?? 'The data source did not answer.'
  );
}
