import { ianaZone } from './timezone';

/** Makes the browser name this zone until the mocks are restored. */
function browserIn(timeZone: string | undefined) {
  jest.spyOn(Intl, 'DateTimeFormat').mockReturnValue({ resolvedOptions: () => ({ timeZone }) } as Intl.DateTimeFormat);
}

afterEach(() => jest.restoreAllMocks());

it.each([undefined, '', 'browser', 'Browser'])("takes %p as the browser's zone", (zone) => {
  browserIn('Asia/Tokyo');
  expect(ianaZone(zone)).toBe('Asia/Tokyo');
});

it.each([undefined, '', 'Etc/Unknown'])('takes UTC for a browser that names its zone %p', (zone) => {
  browserIn(zone);
  expect(ianaZone('browser')).toBe('UTC');
});

it.each(['utc', 'UTC', 'Etc/Unknown', 'etc/unknown'])('takes %s as UTC, wherever the browser is', (zone) => {
  browserIn('Asia/Tokyo');
  expect(ianaZone(zone)).toBe('UTC');
});

it.each(['Europe/Paris', 'Etc/GMT+5', '+02:00', '-03:30'])('leaves %s to the backend', (zone) => {
  browserIn('Asia/Tokyo');
  expect(ianaZone(zone)).toBe(zone);
});

it('passes on the offset of a browser that names its zone by one', () => {
  browserIn('+05:30');
  expect(ianaZone('browser')).toBe('+05:30');
});
