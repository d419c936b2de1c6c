import { CoreApp } from '@grafana/data';
import { DEFAULT_QUERY_TYPE } from './queryTypes';
import { CeemsQuery } from '../types';

/**
 * The query that a new editor starts with.
 *
 * Grafana also fills what stored panel queries lack with the panel editor's default. So there it says no more than what a
 * missing key means anyway (docs/query.md).
 */
export function defaultQuery(app: CoreApp | undefined): Partial<CeemsQuery> {
  switch (app) {
    case CoreApp.UnifiedAlerting:
    case CoreApp.CloudAlerting:
      // Alert rules need numbers, and nobody is signed in when they run: the service user decides what they see.
      return { queryType: 'usage', format: 'numeric', admin: 'auto', fields: ['total_energy_usage_kwh'] };
    case CoreApp.Explore:
      return { queryType: DEFAULT_QUERY_TYPE, running: true, admin: 'auto' };
    default:
      return { queryType: DEFAULT_QUERY_TYPE };
  }
}

/** Shapes that alert rules understand. */
export const ALERTING_FORMATS = ['numeric', 'wide', 'multi'];

export function isAlerting(app: CoreApp | undefined): boolean {
  return app === CoreApp.UnifiedAlerting || app === CoreApp.CloudAlerting;
}
