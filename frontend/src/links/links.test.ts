import {
  applyFieldOverrides,
  createTheme,
  DataFrame,
  FieldType,
  getFieldDisplayValuesProxy,
  InterpolateFunction,
  ScopedVars,
  toDataFrame,
} from '@grafana/data';
import { addUnitLinks, columnsForLinks, LinkSettings, unitLinks } from './links';
import { CeemsOptions } from '../types';

const TYPES: Record<string, string> = { prom: 'prometheus', pyro: 'grafana-pyroscope-datasource' };
const settings = (options: CeemsOptions, rest: Partial<LinkSettings> = {}): LinkSettings => ({
  options,
  uid: 'ceems 1',
  explore: true,
  typeOf: (uid) => TYPES[uid],
  ...rest,
});

const UNITS = toDataFrame({
  fields: [
    { name: 'cluster_id', type: FieldType.string, values: ['slurm-0', 'cloud Ö 1'] },
    { name: 'uuid', type: FieldType.string, values: ['147', 'a1-b2'] },
    { name: 'started_at', type: FieldType.time, values: [1_700_000_000_000, 1_700_000_500_000] },
    { name: 'ended_at', type: FieldType.time, values: [1_700_000_900_000, null] },
  ],
});

/** The addresses that Grafana makes of the links of a row: its own code, with the values of the row as dashboards replace them. */
function addresses(frame: DataFrame, row: number): Record<string, URL> {
  const replaceVariables: InterpolateFunction = (text, scopedVars: ScopedVars = {}) => {
    const context = scopedVars.__dataContext?.value;
    if (!context) {
      return text;
    }
    const values = getFieldDisplayValuesProxy({ frame: context.frame, rowIndex: context.rowIndex ?? row });
    return text.replace(/\$\{__data\.fields\.(\w+):percentencode\}/g, (_all, name) =>
      encodeURIComponent(String(values[name]))
    );
  };
  const [shown] = applyFieldOverrides({
    data: [frame],
    fieldConfig: { defaults: {}, overrides: [] },
    replaceVariables,
    theme: createTheme(),
    timeZone: 'utc',
  });
  const uuid = shown?.fields.find(({ name }) => name === 'uuid');
  const links = uuid?.getLinks?.({ valueRowIndex: row }) ?? [];
  return Object.fromEntries(links.map(({ title, href }) => [title, new URL(href, 'https://grafana.example')]));
}

const pane = (url: URL | undefined) => JSON.parse(url?.searchParams.get('panes') ?? '{}').unit;

describe('unit dashboard', () => {
  const frame = addUnitLinks(UNITS, unitLinks(settings({})), []);

  it('opens by uuid and cluster, at the time range of the unit', () => {
    const url = addresses(frame, 0)['Unit dashboard'];
    expect(url?.pathname).toBe('/d/ceems-unit');
    expect(Object.fromEntries(url?.searchParams ?? [])).toEqual({
      'var-uuid': '147',
      'var-cluster': 'slurm-0',
      'var-started': '1700000000000',
      'var-datasource': 'ceems 1',
      from: '1700000000000',
      to: '1700000900000',
    });
  });

  it('ends now for a unit that runs', () => {
    const params = addresses(frame, 1)['Unit dashboard']?.searchParams;
    expect(params?.get('var-uuid')).toBe('a1-b2');
    expect(params?.get('var-cluster')).toBe('cloud Ö 1');
    expect(params?.get('from')).toBe('1700000500000');
    expect(params?.get('to')).toBe('now');
  });

  it('can be another one, or none', () => {
    expect(unitLinks(settings({ unitDashboardUid: 'mine/1' }))[0]?.url).toContain('/d/mine%2F1?');
    expect(unitLinks(settings({ unitDashboardUid: '' }))).toEqual([]);
  });
});

describe('metrics', () => {
  const template =
    'up{uuid="${uuid}", cluster="$cluster_id", other="$uuids"}\n\n rate(x{uuid="$uuid"}[$__rate_interval])';
  const options = { unitDashboardUid: '', metricsDatasourceUid: 'prom', metricsQueryTemplate: template };

  it('open in Explore with the queries of the template, at the time range of the unit', () => {
    const url = addresses(addUnitLinks(UNITS, unitLinks(settings(options)), []), 0)['Metrics in Explore'];
    expect(url?.pathname).toBe('/explore');
    expect(url?.searchParams.get('schemaVersion')).toBe('1');
    const datasource = { uid: 'prom', type: 'prometheus' };
    expect(pane(url)).toEqual({
      datasource: 'prom',
      queries: [
        { refId: 'A', datasource, range: true, expr: 'up{uuid="147", cluster="slurm-0", other="$uuids"}' },
        { refId: 'B', datasource, range: true, expr: 'rate(x{uuid="147"}[$__rate_interval])' },
      ],
      range: { from: '1700000000000', to: '1700000900000' },
    });
  });

  it('survive a Grafana that undoes the percent encoding of links', () => {
    const expr = 'a{b=~"x\\\\.y|é", uuid="$uuid"} + 1 > 50 % 2 and on() c # & <i>; \\\\n';
    const links = unitLinks(settings({ ...options, metricsQueryTemplate: expr }));
    const href = addresses(addUnitLinks(UNITS, links, []), 0)['Metrics in Explore']?.href ?? '';
    const once = new URL(decodeURIComponent(href));
    const twice = new URL(decodeURIComponent(decodeURIComponent(href)));
    for (const url of [new URL(href), once, twice]) {
      expect(pane(url).queries[0].expr).toBe(expr.replace('$uuid', '147'));
    }
  });

  it('have queries of their own where the setting is empty', () => {
    const links = unitLinks(settings({ ...options, metricsQueryTemplate: '  ' }));
    const { queries } = pane(addresses(addUnitLinks(UNITS, links, []), 1)['Metrics in Explore']);
    expect(queries.map(({ refId }: { refId: string }) => refId)).toEqual(['A', 'B', 'C', 'D']);
    expect(queries[0].expr).toBe('uuid:ceems_cpu_usage:ratio_irate{uuid="a1-b2"}');
  });

  it.each([
    ['for those who may not open Explore', settings(options, { explore: false })],
    ['of a data source that is gone', settings({ ...options, metricsDatasourceUid: 'gone' })],
    ['without a data source', settings({ unitDashboardUid: '' })],
  ])('are no link %s', (_name, given) => {
    expect(unitLinks(given)).toEqual([]);
  });
});

describe('an element of a job array', () => {
  const array = toDataFrame({
    fields: [
      { name: 'uuid', type: FieldType.string, values: ['1234[5]', '12345'] },
      { name: 'cluster_id', type: FieldType.string, values: ['lsf.0', 'lsf.0'] },
    ],
  });
  const expr = [
    'a{uuid="${uuid}", cluster="$cluster_id"}',
    'b{uuid=~"$uuid|other", cluster !~ `${cluster_id}`} / c{uuid="$uuid"}',
    'd{uuid=~"(x|${uuid:regex})"}',
  ].join('\n');
  const options = { metricsDatasourceUid: 'prom', metricsQueryTemplate: expr };
  const own = { profilesDatasourceUid: 'pyro', profilesQueryTemplate: '{service_name=~"$uuid"}' };
  const frame = addUnitLinks(array, unitLinks(settings({ ...options, ...own })), []);

  it('opens its dashboard', () => {
    const url = addresses(frame, 0)['Unit dashboard'];
    expect(url?.searchParams.get('var-uuid')).toBe('1234[5]');
    expect(url?.search).not.toMatch(/[[\]]/);
  });

  it('is escaped where a template compares with a regular expression, and nowhere else', () => {
    const href = addresses(frame, 0)['Metrics in Explore']?.href ?? '';
    for (const url of [new URL(href), new URL(decodeURIComponent(href))]) {
      expect(pane(url).queries.map((query: { expr: string }) => query.expr)).toEqual([
        'a{uuid="1234[5]", cluster="lsf.0"}',
        'b{uuid=~"1234[[]5[]]|other", cluster !~ `lsf[.]0`} / c{uuid="1234[5]"}',
        'd{uuid=~"(x|1234[[]5[]])"}',
      ]);
    }
    const [profile] = pane(addresses(frame, 0)['Profiles in Explore']).queries;
    expect(profile.labelSelector).toBe('{service_name=~"1234[[]5[]]"}');
  });

  it('has no hidden columns for it without such a template', () => {
    const plain = addUnitLinks(array, unitLinks(settings({})), []);
    expect(plain.fields.map(({ name }) => name).filter((name) => name.endsWith('_regex'))).toEqual([]);
  });
});

describe('profiles', () => {
  it('open in Explore with the selector of the unit', () => {
    const links = unitLinks(settings({ unitDashboardUid: '', profilesDatasourceUid: 'pyro' }));
    expect(pane(addresses(addUnitLinks(UNITS, links, []), 0)['Profiles in Explore'])).toMatchObject({
      datasource: 'pyro',
      queries: [
        {
          labelSelector: '{service_name="147"}',
          profileTypeId: 'process_cpu:cpu:nanoseconds:cpu:nanoseconds',
          queryType: 'profile',
        },
      ],
    });
  });

  it('use the selector and the type of the settings', () => {
    const options = { profilesDatasourceUid: 'pyro', profilesQueryTemplate: '{job="$uuid"}', profilesType: 'memory:x' };
    const links = unitLinks(settings({ unitDashboardUid: '', ...options }));
    const [query] = pane(addresses(addUnitLinks(UNITS, links, []), 0)['Profiles in Explore']).queries;
    expect(query).toMatchObject({ labelSelector: '{job="147"}', profileTypeId: 'memory:x' });
  });
});

describe('columns of links', () => {
  it('name no start of a unit that waits', () => {
    const started = { name: 'started_at', type: FieldType.time, values: [null] };
    const waits = toDataFrame({ fields: [{ name: 'uuid', type: FieldType.string, values: ['1'] }, started] });
    const frame = addUnitLinks(waits, unitLinks(settings({})), []);
    expect(addresses(frame, 0)['Unit dashboard']?.searchParams.get('var-started')).toBe('');
  });

  it('are asked for where they are not shown anyway', () => {
    expect(columnsForLinks({ refId: 'A' })).toEqual([]);
    expect(columnsForLinks({ refId: 'A', fields: ['uuid', 'ended_at'] })).toEqual(['cluster_id', 'started_at']);
    expect(columnsForLinks({ refId: 'A', fields: ['state'] })).toEqual([]);
    expect(columnsForLinks({ refId: 'A', fields: ['uuid'], format: 'numeric' })).toEqual([]);
    expect(columnsForLinks({ refId: 'A', queryType: 'usage', fields: ['uuid'] })).toEqual([]);
  });

  it('are hidden, and those that nobody asked for are gone', () => {
    const frame = addUnitLinks(UNITS, unitLinks(settings({})), ['started_at', 'ended_at']);
    expect(frame.fields.map(({ name }) => name)).toEqual([
      'cluster_id',
      'uuid',
      'link_cluster_id',
      'link_started',
      'link_from',
      'link_to',
    ]);
    for (const field of frame.fields.slice(2)) {
      expect(field.config.custom).toMatchObject({ hidden: true, hideFrom: { viz: true } });
    }
    expect(frame.fields[3]?.values).toEqual(['1700000000000', '1700000500000']);
    expect(frame.fields[4]?.values).toEqual(['1700000000000', '1700000500000']);
  });

  it('come after links that the backend made', () => {
    const own = { title: 'Own', url: '/x' };
    const frame = toDataFrame({
      fields: [{ name: 'uuid', type: FieldType.string, config: { links: [own] }, values: ['1'] }],
    });
    const titles = addUnitLinks(frame, unitLinks(settings({})), []).fields[0]?.config.links?.map(({ title }) => title);
    expect(titles).toEqual(['Own', 'Unit dashboard']);
  });

  it('do nothing to a frame without a uuid', () => {
    const frame = toDataFrame({ fields: [{ name: 'project', values: ['p'] }] });
    expect(addUnitLinks(frame, unitLinks(settings({})), [])).toBe(frame);
  });
});
