import { Option } from './useSuggestions';

/** The IANA time zones that the browser knows. */
export function timezoneOptions(): Option[] {
  const zones = typeof Intl.supportedValuesOf === 'function' ? Intl.supportedValuesOf('timeZone') : [];
  return [...new Set(['UTC', ...zones])].map((zone) => ({ value: zone, label: zone }));
}
