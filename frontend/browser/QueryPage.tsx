import { CoreApp, DataQueryRequest, PanelData } from '@grafana/data';
import { Button } from '@grafana/ui';
import React, { useState } from 'react';
import type { CeemsQuery } from '../src/types';
import { Model } from './Model';
import type { PageProps } from './pageProps';
import { Result } from './Result';
import { useAnswer } from './useAnswer';

/** The query editor with its help, the query as it would be stored, and what the query answers. */
export function QueryPage({ plugin, datasource, place }: PageProps) {
  const { QueryEditor, QueryEditorHelp } = plugin.components;
  const app = (place.app as CoreApp | undefined) ?? CoreApp.PanelEditor;
  const [query, setQuery] = useState<CeemsQuery>({
    ...datasource.getDefaultQuery(app),
    refId: 'A',
    ...place.stored,
  });
  const [answer, run] = useAnswer();
  const runQuery = (asked: CeemsQuery) => {
    const request = { app, targets: [asked], range: place.range, scopedVars: {}, requestId: 'page' };
    run(datasource.query(request as Partial<DataQueryRequest<CeemsQuery>> as DataQueryRequest<CeemsQuery>));
  };
  return (
    <>
      {QueryEditor && (
        <QueryEditor
          datasource={datasource}
          query={query}
          onChange={setQuery}
          onRunQuery={() => {}}
          app={app}
          range={place.range}
          data={answer as PanelData | undefined}
        />
      )}
      <Button onClick={() => runQuery(query)}>Run query</Button>
      <Model name="Query model" value={query} />
      <Result answer={answer} />
      {QueryEditorHelp && app === CoreApp.Explore && (
        <QueryEditorHelp
          datasource={datasource}
          query={query}
          onClickExample={(example) => setQuery(example as CeemsQuery)}
        />
      )}
    </>
  );
}
