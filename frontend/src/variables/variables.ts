import {
  CustomVariableSupport,
  DataQueryRequest,
  DataQueryResponse,
  FieldType,
  ScopedVars,
  toDataFrame,
} from '@grafana/data';
import { from, map, Observable } from 'rxjs';
import { VariableQueryEditor } from './VariableQueryEditor';
import { SuggestingDataSource, SuggestionSource } from '../suggestions/suggestions';
import { CeemsVariableQuery, Suggestion } from '../types';
import { DEFAULT_VARIABLE_KIND, DEFAULT_VARIABLE_LIMIT, readVariableQuery } from './variableQuery';

/** Query variables whose values come from the suggestions. */
export class CeemsVariables extends CustomVariableSupport<SuggestingDataSource, CeemsVariableQuery> {
  editor = VariableQueryEditor;

  constructor(private readonly datasource: SuggestionSource) {
    super();
  }

  query(request: DataQueryRequest<CeemsVariableQuery>): Observable<DataQueryResponse> {
    const query = readVariableQuery(request.targets[0]);
    return from(variableValues(this.datasource, query, request.scopedVars)).pipe(
      map((values) => ({ data: [toFrame(values)] }))
    );
  }

  getDefaultQuery(): Partial<CeemsVariableQuery> {
    return { kind: DEFAULT_VARIABLE_KIND };
  }
}

export async function variableValues(
  datasource: SuggestionSource,
  query: CeemsVariableQuery,
  scopedVars?: ScopedVars
): Promise<Suggestion[]> {
  // Grafana puts what is typed into the variable's drop-down here.
  const search = scopedVars?.__searchFilter?.value;
  const { values } = await datasource.suggest(query.kind, {
    ...query,
    limit: query.limit ?? DEFAULT_VARIABLE_LIMIT,
    prefix: typeof search === 'string' ? search : undefined,
    scopedVars,
  });
  return values;
}

function toFrame(values: Suggestion[]) {
  return toDataFrame({
    fields: [
      { name: 'text', type: FieldType.string, values: values.map(({ label, value }) => label || value) },
      { name: 'value', type: FieldType.string, values: values.map(({ value }) => value) },
    ],
  });
}
