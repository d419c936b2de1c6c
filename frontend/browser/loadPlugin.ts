import type { DataSourcePlugin } from '@grafana/data';
import type { CeemsDataSource } from '../src/datasource';
import type { CeemsOptions, CeemsQuery } from '../src/types';
import { supplied } from './supplied';

export type CeemsPlugin = DataSourcePlugin<CeemsDataSource, CeemsQuery, CeemsOptions>;

type Define = (names: string[], make: (...modules: unknown[]) => { plugin: CeemsPlugin }) => void;

/** Runs the plugin's module.js, an AMD module, as Grafana does: its libraries are Grafana's own. */
export function loadPlugin(url: string): Promise<CeemsPlugin> {
  return new Promise((resolve, reject) => {
    const define: Define = (names, make) => {
      const missing = names.filter((name) => !(name in supplied));
      if (missing.length > 0) {
        reject(new Error(`${url} needs ${missing.join(', ')}, which the page does not supply (supplied.ts).`));
      } else {
        resolve(make(...names.map((name) => supplied[name])).plugin);
      }
    };
    Object.assign(window, { define: Object.assign(define, { amd: {} }) });
    const script = document.createElement('script');
    script.src = url;
    script.onerror = () => reject(new Error(`There is no ${url}: it was not built.`));
    document.head.append(script);
  });
}
