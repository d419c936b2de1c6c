import texts from '../test/settingTexts.json';
import { checkAddress, checkDuration, checkMemory, durationText } from './checks';

const { durations, addresses, memory } = texts;

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

it.each(memory.right)('takes the size of memory %j', (text) => {
  expect(checkMemory(text)).toBeUndefined();
});

it.each(memory.wrong)('says what is wrong with the size of memory %j', (text) => {
  expect(checkMemory(text)).toBe('A size of at least 384MiB, such as 600MiB or 2GiB');
});

it('shows a number of seconds as text', () => {
  expect([durationText(90), durationText(0), durationText('1m'), durationText(undefined)]).toEqual([
    '90',
    '0',
    '1m',
    undefined,
  ]);
});
