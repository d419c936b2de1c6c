import { locationUtil } from '@grafana/data';
import plugin from '../../plugin.json';

/** The documentation: the link of that name in plugin.json, otherwise the plugin's own page in Grafana, which shows the README. */
export function docsUrl(links: Array<{ name: string; url: string }> = plugin.info.links): string {
  const documentation = links.find(({ name }) => name.toLowerCase() === 'documentation');
  return documentation?.url ?? locationUtil.assureBaseUrl(`/plugins/${plugin.id}`);
}
