/** Checks of settings. Each returns what is wrong with a text, or undefined; the backend refuses the same texts. */

/** Larger units come first, and each at most once. */
const DURATION = /^(?:(\d{1,20})y)?(?:(\d{1,20})w)?(?:(\d{1,20})d)?(?:(\d{1,20})h)?(?:(\d{1,20})m)?(?:(\d{1,20})s)?$/;
const SECONDS = [31_536_000, 604_800, 86_400, 3_600, 60, 1];
const LONGEST = 1000 * 31_536_000;
const ADDRESS = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+):([0-9]{1,5})$/i;

/** Checks a length of time: a duration or a number of seconds, at most 1000 years. */
export function checkDuration(text: string): string | undefined {
  const parts = text.trim().replaceAll(' ', '');
  const match = DURATION.exec(/^\d+$/.test(parts) ? `${parts}s` : parts);
  if (match === null) {
    return 'A length of time, such as 30s, 12h or 90d';
  }
  const seconds = SECONDS.reduce((sum, factor, place) => sum + factor * Number(match[place + 1] ?? 0), 0);
  return seconds <= LONGEST ? undefined : 'At most 1000 years';
}

/** A duration as text: provisioned settings can have a number of seconds. */
export function durationText(value: string | number | undefined): string | undefined {
  return value?.toString();
}

const LEAST_MEMORY = 384; // MiB

/** Checks a size of memory in MiB or GiB. */
export function checkMemory(text: string): string | undefined {
  if (text.trim() === '') {
    return undefined;
  }
  const match = /^(\d{1,9})\s*(MiB|GiB)$/.exec(text.trim());
  const mebibytes = match === null ? 0 : Number(match[1]) * (match[2] === 'GiB' ? 1024 : 1);
  return mebibytes >= LEAST_MEMORY ? undefined : `A size of at least ${LEAST_MEMORY}MiB, such as 600MiB or 2GiB`;
}

/** Checks the address of a server. */
export function checkAddress(text: string): string | undefined {
  const port = Number(ADDRESS.exec(text.trim())?.[2] ?? 0);
  return port > 0 && port < 65536 ? undefined : 'host:port, such as ceems-host:9443';
}

/** Checks a path on the Grafana server. */
export function checkPath(text: string): string | undefined {
  return text.startsWith('/') ? undefined : 'A full path, which starts with /';
}
