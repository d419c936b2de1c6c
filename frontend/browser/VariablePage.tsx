import { DataQueryRequest, QueryEditorProps } from '@grafana/data';
import { Button } from '@grafana/ui';
import React, { ComponentType, useState } from 'react';
import type { CeemsDataSource } from '../src/datasource';
import type { CeemsOptions, CeemsQuery, CeemsVariableQuery } from '../src/types';
import type { CeemsVariables } from '../src/variables/variables';
import { Model } from './Model';
import type { PageProps } from './pageProps';
import { Result } from './Result';
import { useAnswer } from './useAnswer';

type Editor = ComponentType<QueryEditorProps<CeemsDataSource, CeemsQuery, CeemsOptions, CeemsVariableQuery>>;

/** The editor of a template variable, and the values that the variable would have. */
export function VariablePage({ datasource, place }: PageProps) {
  const variables = datasource.variables as CeemsVariables;
  const Editor: Editor = variables.editor;
  const [query, setQuery] = useState<CeemsVariableQuery>({
    ...(variables.getDefaultQuery() as CeemsVariableQuery),
    refId: 'variable',
    ...place.stored,
  });
  const [answer, run] = useAnswer();
  const showValues = () => {
    const request = { targets: [query], range: place.range, scopedVars: {} };
    run(
      variables.query(request as Partial<DataQueryRequest<CeemsVariableQuery>> as DataQueryRequest<CeemsVariableQuery>)
    );
  };
  return (
    <>
      <Editor datasource={datasource} query={query} onChange={setQuery} onRunQuery={() => {}} />
      <Button onClick={showValues}>Show values</Button>
      <Model name="Query model" value={query} />
      <Result answer={answer} />
    </>
  );
}
