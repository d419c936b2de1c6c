import { AnnotationQuery, FieldType, toDataFrame } from '@grafana/data';
import { lastValueFrom } from 'rxjs';
import { annotationSupport, prepareQuery, unitsToEvents } from './annotations';
import { alertStateOf, AnnotationShow } from './look';
import { startGrafana } from '../test/grafana';
import { CeemsQuery } from '../types';

const NOW = 9_000;
const FRAME = toDataFrame({
  fields: [
    { name: 'cluster_id', type: FieldType.string, values: ['c', 'c', 'c', 'c'] },
    { name: 'uuid', type: FieldType.string, values: ['1', '2', '3', '4'] },
    { name: 'name', type: FieldType.string, values: ['train', '', null, null] },
    { name: 'project', type: FieldType.string, values: ['p', 'p', 'p', 'p'] },
    { name: 'username', type: FieldType.string, values: ['alice', null, 'bob', 'bob'] },
    { name: 'state', type: FieldType.string, values: ['COMPLETED', 'RUNNING', 'PENDING', ''] },
    { name: 'created_at', type: FieldType.time, values: [500, 1500, 2500, null] },
    { name: 'started_at', type: FieldType.time, values: [1000, 2000, null, null] },
    { name: 'ended_at', type: FieldType.time, values: [3000, null, null, null] },
  ],
});

it('makes a region of each unit, from its start to its end', () => {
  expect(unitsToEvents([FRAME], NOW)[0]).toEqual({
    id: 'c/1/1000',
    time: 1000,
    timeEnd: 3000,
    isRegion: true,
    title: 'train (1)',
    text: 'alice, p',
    tags: ['c', 'COMPLETED'],
    newState: 'ok',
  });
});

it('ends units that run now', () => {
  expect(unitsToEvents([FRAME], NOW)[1]).toMatchObject({
    time: 2000,
    timeEnd: NOW,
    isRegion: true,
    title: '2',
    text: 'p',
  });
});

it('shows units that wait as a point, and leaves out those without any time', () => {
  const events = unitsToEvents([FRAME], NOW);
  expect(events).toHaveLength(3);
  expect(events[2]).toMatchObject({ id: 'c/3/2500', time: 2500, timeEnd: 2500, isRegion: false });
});

it('makes nothing of no units', async () => {
  expect(unitsToEvents([], NOW)).toEqual([]);
  const events = annotationSupport.processEvents?.({} as AnnotationQuery<CeemsQuery>, [toDataFrame({ fields: [] })]);
  expect(events && (await lastValueFrom(events))).toEqual([]);
});

it('asks for the chosen units with the columns of events, whatever else is stored', () => {
  const target: CeemsQuery = { refId: 'A', queryType: 'usage', users: ['$user'], fields: ['state'], format: 'numeric' };
  const query = prepareQuery({ target } as AnnotationQuery<CeemsQuery>);
  expect(query).toMatchObject({ refId: 'A', queryType: 'units', running: true, users: ['$user'], format: 'table' });
  expect(query.fields).toEqual(FRAME.fields.map(({ name }) => name));
  expect(prepareQuery({} as AnnotationQuery<CeemsQuery>)).toMatchObject({ refId: 'Anno', running: true });
  const ended = { refId: 'A', running: false };
  expect(prepareQuery({ target: ended } as AnnotationQuery<CeemsQuery>).running).toBe(false);
});

it('asks for some units only, those that started last, and never sends what only the browser reads', () => {
  const target: CeemsQuery = { refId: 'A', annotation: { show: 'start', title: 'x' } };
  const query = prepareQuery({ target } as AnnotationQuery<CeemsQuery>);
  expect(query).toMatchObject({ limit: 100, orderBy: ['-started_at'], running: true });
  expect(query).not.toHaveProperty('annotation');
  expect(prepareQuery({ target: { ...target, limit: 5 } } as AnnotationQuery<CeemsQuery>).limit).toBe(5);
});

it('shows starts, ends or failures as points', () => {
  const times = (show: AnnotationShow) =>
    unitsToEvents([FRAME], NOW, { show }).map(({ time, isRegion }) => [time, isRegion]);
  expect(times('start')).toEqual([
    [1000, false],
    [2000, false],
    [2500, false],
  ]);
  expect(times('end')).toEqual([[3000, false]]);
  const target: CeemsQuery = { refId: 'A', annotation: { show: 'failure' } };
  const query = prepareQuery({ target } as AnnotationQuery<CeemsQuery>);
  expect(query).toMatchObject({ running: false, states: expect.arrayContaining(['FAILED', 'TIMEOUT', 'ERROR']) });
  const chosen = { ...target, states: ['TIMEOUT'] };
  expect(prepareQuery({ target: chosen } as AnnotationQuery<CeemsQuery>).states).toEqual(['TIMEOUT']);
});

it('writes titles and texts by templates', () => {
  const look = { title: '{{state}}: {{ name }}', text: '{{username}}@{{cluster_id}}{{nothing}}{{toString}}' };
  const [first, second] = unitsToEvents([FRAME], NOW, look);
  expect(first).toMatchObject({ title: 'COMPLETED: train', text: 'alice@c' });
  expect(second).toMatchObject({ title: 'RUNNING: ', text: '@c' });
});

it('colours events by the states of their units, unless that is switched off', () => {
  expect(unitsToEvents([FRAME], NOW).map(({ newState }) => newState)).toEqual(['ok', 'pending', 'pending']);
  expect(alertStateOf('OUT_OF_MEMORY')).toBe('alerting');
  expect(alertStateOf('CANCELLED by 1001')).toBeUndefined();
  for (const event of unitsToEvents([FRAME], NOW, { colorByState: false })) {
    expect(event).not.toHaveProperty('newState');
  }
});

it('is what the data source gives to dashboards', () => {
  expect(startGrafana().datasource.annotations).toBe(annotationSupport);
  expect(annotationSupport.getDefaultQuery?.()).toEqual({ queryType: 'units', running: true, limit: 100 });
});
