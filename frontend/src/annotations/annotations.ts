import { AnnotationEvent, AnnotationQuery, AnnotationSupport, DataFrame } from '@grafana/data';
import { of } from 'rxjs';
import { AnnotationQueryEditor } from './AnnotationQueryEditor';
import { alertStateOf, AnnotationLook, FAILURES, fillTemplate } from './look';
import { asList } from '../query/interpolation';
import { CeemsQuery } from '../types';

/** Columns that an annotation is made of. */
const FIELDS = ['cluster_id', 'uuid', 'name', 'project', 'username', 'state', 'created_at', 'started_at', 'ended_at'];
/** More units hide each other and the panel. */
export const ANNOTATED_UNITS = 100;

/** Units as annotations: a region from the start to the end of each, or a point at one of them. */
export const annotationSupport: AnnotationSupport<CeemsQuery> = {
  getDefaultQuery: () => ({ queryType: 'units', running: true, limit: ANNOTATED_UNITS }),
  prepareQuery,
  processEvents: (annotation, frames) => of(unitsToEvents(frames, Date.now(), annotation.target?.annotation)),
  QueryEditor: AnnotationQueryEditor,
};

/** The stored choice of units, asked for with just the columns that events need: by default the last 100 that started. */
export function prepareQuery(annotation: AnnotationQuery<CeemsQuery>): CeemsQuery {
  const { annotation: look, ...stored } = annotation.target ?? { refId: '' };
  const target: CeemsQuery = {
    running: true,
    orderBy: ['-started_at'],
    ...stored,
    limit: stored.limit || ANNOTATED_UNITS,
    refId: stored.refId || 'Anno',
  };
  if (look?.show === 'end' || look?.show === 'failure') {
    target.running = false;
  }
  if (look?.show === 'failure' && asList(target.states).length === 0) {
    target.states = FAILURES;
  }
  return { ...target, queryType: 'units', fields: FIELDS, format: 'table', live: false };
}

/**
 * The events of frames of units; times are milliseconds. A running unit ends at `now`. A unit that waits to
 * start is an event at its creation, without an end.
 */
export function unitsToEvents(frames: DataFrame[], now: number, look: AnnotationLook = {}): AnnotationEvent[] {
  return frames.flatMap((frame) => {
    const columns = new Map(frame.fields.map((field) => [field.name, field.values]));
    return Array.from({ length: frame.length }, (_, row) =>
      unitToEvent((name) => columns.get(name)?.[row] ?? undefined, now, look)
    ).filter((event): event is AnnotationEvent => event !== undefined);
  });
}

function unitToEvent(
  cell: (name: string) => string | number | undefined,
  now: number,
  { show = 'region', title, text, colorByState = true }: AnnotationLook
): AnnotationEvent | undefined {
  const unit = Object.fromEntries(FIELDS.map((name) => [name, String(cell(name) ?? '')]));
  const { cluster_id = '', uuid = '', name, project, username, state = '' } = unit;
  const started = cell('started_at') as number | undefined;
  const ended = cell('ended_at') as number | undefined;
  const start = started ?? (cell('created_at') as number | undefined);
  const isAtEnd = show === 'end' || show === 'failure';
  const time = isAtEnd ? (ended ?? (show === 'failure' ? start : undefined)) : start;
  if (time === undefined) {
    return undefined;
  }
  const timeEnd = show === 'region' && started !== undefined ? (ended ?? now) : time;
  return {
    id: [cluster_id, uuid, time].join('/'),
    time,
    timeEnd,
    isRegion: timeEnd > time,
    title: title ? fillTemplate(title, unit) : name ? `${name} (${uuid})` : uuid,
    text: text ? fillTemplate(text, unit) : [username, project].filter(Boolean).join(', '),
    tags: [cluster_id, state].filter(Boolean),
    ...(colorByState && alertStateOf(state) ? { newState: alertStateOf(state) } : {}),
  };
}
