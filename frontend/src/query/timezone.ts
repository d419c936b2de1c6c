/** Stands for the time zone of the dashboard; Grafana's own variable of that name, which Explore does not have. */
export const DASHBOARD_TIMEZONE = '$__timezone';

/** The IANA name of a time zone as Grafana writes it: 'browser' (or nothing) and 'utc' mean what they say. */
export function ianaZone(zone: string | undefined): string {
  switch (zone?.toLowerCase()) {
    case undefined:
    case '':
    case 'browser':
      return Intl.DateTimeFormat().resolvedOptions().timeZone;
    case 'utc':
      return 'UTC';
    default:
      return zone as string;
  }
}
