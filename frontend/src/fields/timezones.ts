import { Option } from './useSuggestions';

let options: Option[] | undefined;

/** The IANA time zones that the browser knows. */
export function timezoneOptions(): Option[] {
  if (options === undefined) {
    const zones = typeof Intl.supportedValuesOf === 'function' ? Intl.supportedValuesOf('timeZone') : [];
    options = [...new Set(['UTC', ...zones])].map((zone) => ({ value: zone, label: zone }));
  }
  return options;
}
