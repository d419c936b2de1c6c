import { AnnotationEvent, AnnotationQuery, DataQueryRequest } from '@grafana/data';
import { Alert, Button } from '@grafana/ui';
import React, { useState } from 'react';
import { lastValueFrom } from 'rxjs';
import type { CeemsQuery } from '../src/types';
import { Model } from './Model';
import type { PageProps } from './pageProps';

type Annotation = AnnotationQuery<CeemsQuery>;

/** The editor of an annotation query, and the events that the annotation would show. */
export function AnnotationPage({ datasource, place }: PageProps) {
  const support = datasource.annotations ?? {};
  const [annotation, setAnnotation] = useState<Annotation>({
    name: 'Units',
    enable: true,
    iconColor: 'red',
    target: { refId: 'Anno', ...support.getDefaultQuery?.(), ...place.stored },
  });
  const [events, setEvents] = useState<AnnotationEvent[]>();
  const [error, setError] = useState<string>();
  const showEvents = async () => {
    const target = support.prepareQuery?.(annotation);
    const request = { targets: [target], range: place.range, scopedVars: {}, requestId: 'page' };
    const answer = await lastValueFrom(
      datasource.query(request as Partial<DataQueryRequest<CeemsQuery>> as DataQueryRequest<CeemsQuery>)
    );
    setError(answer.errors?.map(({ message }) => message).join(' '));
    setEvents(await lastValueFrom(support.processEvents!(annotation, answer.data)));
  };
  const Editor = support.QueryEditor;
  return (
    <>
      {Editor && annotation.target && (
        <Editor
          datasource={datasource}
          query={annotation.target}
          onChange={(target) => setAnnotation({ ...annotation, target })}
          onRunQuery={() => {}}
          annotation={annotation}
          onAnnotationChange={(changed) => setAnnotation(changed as Annotation)}
        />
      )}
      <Button onClick={() => void showEvents()}>Show events</Button>
      <Model name="Query model" value={annotation.target} />
      {error && <Alert severity="error" title={error} />}
      {events && <Events events={events} />}
    </>
  );
}

function Events({ events }: { events: AnnotationEvent[] }) {
  return (
    <table aria-label="Result" data-rows={events.length} cellPadding={4}>
      <thead>
        <tr>
          {['time', 'timeEnd', 'isRegion', 'title', 'text', 'tags'].map((name) => (
            <th key={name}>{name}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {events.slice(0, 20).map((event) => (
          <tr key={event.id}>
            <td>{event.time}</td>
            <td>{event.timeEnd}</td>
            <td>{String(event.isRegion)}</td>
            <td>{event.title}</td>
            <td>{event.text}</td>
            <td>{event.tags?.join(', ')}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
