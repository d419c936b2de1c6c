import { AnnotationQueryEditor } from './annotations/AnnotationQueryEditor';
import { ConfigEditor } from './config/ConfigEditor';
import { QueryEditor } from './editor/QueryEditor';
import { QueryEditorHelp } from './editor/QueryEditorHelp';
import { CeemsDataSource } from './datasource';
import { docsUrl } from './docs';
import { plugin } from './module';
import { startGrafana } from './test/grafana';

it('gives Grafana the data source and its editors', () => {
  expect(plugin.DataSourceClass).toBe(CeemsDataSource);
  expect(plugin.components).toMatchObject({ ConfigEditor, QueryEditor, QueryEditorHelp });
  expect(startGrafana().datasource.annotations?.QueryEditor).toBe(AnnotationQueryEditor);
});

it('links to the documentation that plugin.json names, else to the page of the plugin', () => {
  expect(docsUrl([{ name: 'Documentation', url: 'https://docs.example/ceems' }])).toBe('https://docs.example/ceems');
  expect(docsUrl([])).toBe('/plugins/ceems-ceems-datasource');
});
