import { setTimeout as delay } from 'node:timers/promises';
import { CommandError, EXIT } from '@tidegate/server/operator/commands';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { AWAY, LATE, nextPace, silenceOf } from './pace.ts';
import { startPacer } from './pacer.ts';

const HOUR = 3_600_000;

test('the clock waits at once for a service that is away, and gathers speed step by step', () => {
  expect(nextPace(0, undefined, HOUR)).toBe(AWAY);
  expect(nextPace(AWAY, 0, HOUR)).toBe(AWAY - 1);
  expect(nextPace(0, 0, HOUR)).toBe(0);
});

test('it goes slower while the fleet is silent for too long, and keeps its pace in between', () => {
  expect(nextPace(0, HOUR + 1, HOUR)).toBe(1);
  expect(nextPace(LATE, 9 * HOUR, HOUR)).toBe(LATE);
  expect(nextPace(2, 0.7 * HOUR, HOUR)).toBe(2);
});

test('it does not wait longer for chargers that sleep than a poll takes, also after the service was away', () => {
  let pace = AWAY;
  for (let looks = 0; looks < 10; looks++) pace = nextPace(pace, 2 * HOUR, HOUR);
  expect(pace).toBe(LATE);
});

test('it is never faster than full speed or slower than without a service, whatever it sees', () => {
  const silence = fc.option(fc.integer({ min: 0, max: 100 * HOUR }), { nil: undefined });
  fc.assert(
    fc.property(fc.array(silence, { maxLength: 50 }), (silences) => {
      let pace = 0;
      for (const silence of silences) {
        pace = nextPace(pace, silence, HOUR);
        expect(pace).toBeGreaterThanOrEqual(0);
        expect(pace).toBeLessThanOrEqual(AWAY);
      }
    }),
    { seed: 1 },
  );
});

test('a fleet is silent when many are, not when a few are busy or broken', () => {
  const seen = Array.from({ length: 60 }, () => 100 * HOUR);
  expect(silenceOf(seen.with(0, 0).with(1, 0).with(2, 0), 101 * HOUR)).toBe(HOUR);
  expect(silenceOf(seen.fill(0, 0, 12), 101 * HOUR)).toBe(101 * HOUR);
  expect(silenceOf([], 0)).toBe(0);
});

test('the pacer slows the clock while the service does not answer, and lets it go at its end', async () => {
  let away = false;
  const divisors: number[] = [];
  const service = {
    get: <T>(): Promise<T> =>
      away
        ? Promise.reject(new CommandError(EXIT.unreachable, 'SERVICE_UNREACHABLE', 'Away.'))
        : Promise.resolve({ items: [{ lastSeenAt: new Date(0).toISOString() }] } as T),
  };
  const clock = { now: () => 0, divide: (divisor: number) => void divisors.push(divisor) };
  const pacer = startPacer(service, clock, HOUR);
  while (!divisors.includes(1)) await delay(5);
  away = true;
  while (!divisors.includes(2 ** AWAY)) await delay(5);
  away = false;
  while (divisors.at(-1) !== 2 ** (AWAY - 1)) await delay(5);
  await pacer.stop();
  expect(divisors.at(-1)).toBe(1);
  expect(pacer.slowed).toBeGreaterThan(0);
});

test('an answer that is late is none', async () => {
  const divisors: number[] = [];
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const clock = { now: () => 0, divide: (divisor: number) => void divisors.push(divisor) };
  const pacer = startPacer({ get: <T>() => promise as Promise<T> }, clock, HOUR);
  while (!divisors.includes(2 ** AWAY)) await delay(5);
  resolve({ items: [] });
  await pacer.stop();
});
