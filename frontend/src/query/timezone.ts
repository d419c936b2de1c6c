/** Stands for the time zone of the dashboard. Grafana has a variable of this name, but not in Explore. */
export const DASHBOARD_TIMEZONE = '$__timezone';

/** The zone that a browser names; UTC if it does not know its zone. */
function knownZone(zone: string | undefined): string {
  return !zone || zone === 'Etc/Unknown' ? 'UTC' : zone;
}

/** The IANA name of a time zone as Grafana writes it: 'browser' (or nothing) and 'utc' mean what they say. */
export function ianaZone(zone: string | undefined): string {
  switch (zone?.toLowerCase()) {
    case undefined:
    case '':
    case 'browser':
      return knownZone(Intl.DateTimeFormat().resolvedOptions().timeZone);
    case 'utc':
    case 'etc/unknown': // what browsers say that do not know their zone
      return 'UTC';
    default:
      return zone as string;
  }
}
