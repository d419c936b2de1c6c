import texts from '../test/settingTexts.json';
import { checkAddress, checkDuration, durationText } from './checks';

const { durations, addresses } = texts;

it.each(durations.right)('takes the duration %j', (text) => {
  expect(checkDuration(text)).toBeUndefined();
});

it.each(durations.wrong)('says what is wrong with the duration %j', (text) => {
  expect(checkDuration(text)).toMatch(/^A length of time, such as|^At most 1000 years$/);
});

it.each(addresses.right)('takes the address %j', (text) => {
  expect(checkAddress(text)).toBeUndefined();
});

it.each(addresses.wrong)('says what is wrong with the address %j', (text) => {
  expect(checkAddress(text)).toBe('host:port, such as ceems-host:9443');
});

it('shows a number of seconds as text', () => {
  expect([durationText(90), durationText(0), durationText('1m'), durationText(undefined)]).toEqual([
    '90',
    '0',
    '1m',
    undefined,
  ]);
});
