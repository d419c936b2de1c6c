import { DataSourcePlugin } from '@grafana/data';
import { ConfigEditor } from './components/ConfigEditor';
import { QueryEditor } from './components/QueryEditor';
import { QueryEditorHelp } from './components/QueryEditorHelp';
import { CeemsDataSource } from './datasource';
import { CeemsOptions, CeemsQuery } from './types';

export const plugin = new DataSourcePlugin<CeemsDataSource, CeemsQuery, CeemsOptions>(CeemsDataSource)
  .setConfigEditor(ConfigEditor)
  .setQueryEditor(QueryEditor)
  .setQueryEditorHelp(QueryEditorHelp);
