import { DataSourcePlugin } from '@grafana/data';
import { ConfigEditor } from './config/ConfigEditor';
import { QueryEditor } from './editor/QueryEditor';
import { QueryEditorHelp } from './editor/QueryEditorHelp';
import { CeemsDataSource } from './datasource';
import { CeemsOptions, CeemsQuery } from './types';

export const plugin = new DataSourcePlugin<CeemsDataSource, CeemsQuery, CeemsOptions>(CeemsDataSource)
  .setConfigEditor(ConfigEditor)
  .setQueryEditor(QueryEditor)
  .setQueryEditorHelp(QueryEditorHelp);
