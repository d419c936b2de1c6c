import { AnnotationEvent, AnnotationQuery, AnnotationSupport, DataFrame } from '@grafana/data';
import { of } from 'rxjs';
import { AnnotationQueryEditor } from './AnnotationQueryEditor';
import { CeemsQuery } from '../types';

/** Columns that an annotation is made of. */
const FIELDS = ['cluster_id', 'uuid', 'name', 'project', 'username', 'state', 'created_at', 'started_at', 'ended_at'];

/** Units as annotations: a region from the start to the end of each. */
export const annotationSupport: AnnotationSupport<CeemsQuery> = {
  getDefaultQuery: () => ({ queryType: 'units', running: true }),
  prepareQuery,
  processEvents: (_annotation, frames) => of(unitsToEvents(frames, Date.now())),
  QueryEditor: AnnotationQueryEditor,
};

/** The stored choice of units, asked for with just the columns that events need. */
export function prepareQuery(annotation: AnnotationQuery<CeemsQuery>): CeemsQuery {
  const target: CeemsQuery = { running: true, ...annotation.target, refId: annotation.target?.refId || 'Anno' };
  return { ...target, queryType: 'units', fields: FIELDS, format: 'table', live: false };
}

/**
 * The events of frames of units; times are milliseconds. A running unit ends at `now`. A unit that waits to
 * start is an event at its creation, without an end.
 */
export function unitsToEvents(frames: DataFrame[], now: number): AnnotationEvent[] {
  return frames.flatMap((frame) => {
    const column = (name: string) => frame.fields.find((field) => field.name === name)?.values ?? [];
    const [clusters, uuids, names, projects, users, states, created, started, ended] = FIELDS.map(column);
    return Array.from({ length: frame.length }, (_, row): AnnotationEvent | undefined => {
      const start: number | undefined = started?.[row] ?? created?.[row] ?? undefined;
      if (start === undefined) {
        return undefined;
      }
      const runs = started?.[row] !== null && started?.[row] !== undefined;
      const end: number = runs ? (ended?.[row] ?? now) : start;
      const name = names?.[row];
      return {
        id: [clusters?.[row], uuids?.[row], start].join('/'),
        time: start,
        timeEnd: end,
        isRegion: end > start,
        title: name ? `${name} (${uuids?.[row]})` : String(uuids?.[row]),
        text: [users?.[row], projects?.[row]].filter(Boolean).join(', '),
        tags: [clusters?.[row], states?.[row]].filter((tag): tag is string => Boolean(tag)),
      };
    }).filter((event): event is AnnotationEvent => event !== undefined);
  });
}
