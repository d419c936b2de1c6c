import type { CeemsDataSource } from '../src/datasource';
import type { Place } from './grafana';
import type { CeemsPlugin } from './loadPlugin';

/** What each page gets to show an editor. */
export interface PageProps {
  plugin: CeemsPlugin;
  datasource: CeemsDataSource;
  place: Place;
}
