import { assert, constantFrom, double, integer, option, property } from 'fast-check';
import { expect, test } from 'vitest';
import { backOff, dueAt, isOverdue, type OnlineRole } from './schedule.ts';

const DAY = 24 * 60 * 60 * 1000;
const LIFE: Record<OnlineRole, number> = { snapshot: 7 * DAY, timestamp: DAY };
const role = constantFrom<OnlineRole[]>('snapshot', 'timestamp');
const jitter = double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const NOW = Date.parse('2026-11-22T12:00:00Z');

test('a role is due between three eighths of its life and half of it, and the draw decides where', () => {
  expect(dueAt('timestamp', NOW + DAY, 0)).toBe(NOW + DAY / 2);
  assert(
    property(role, jitter, (name, drawn) => {
      const passed = dueAt(name, LIFE[name], drawn) / LIFE[name];
      expect(passed).toBeGreaterThanOrEqual(3 / 8);
      expect(passed).toBeLessThanOrEqual(1 / 2);
    }),
    { seed: 16 },
  );
  const draws = new Set(Array.from({ length: 100 }, (_, i) => dueAt('timestamp', DAY, i / 100)));
  expect(draws.size).toBe(100);
});

test('whatever is recorded, or lost, a role that has passed half its life is overdue, and a fresh one is not before it is due', () => {
  const recorded = option(integer({ min: -100 * DAY, max: 100 * DAY }), { nil: null });
  assert(
    property(role, recorded, integer({ min: -10 * DAY, max: 10 * DAY }), (name, due, age) => {
      const life = { expires: LIFE[name], due };
      if (age >= LIFE[name] / 2) expect(isOverdue(name, life, age)).toBe(true);
      if (age >= 0 && age < LIFE[name] / 2)
        expect(isOverdue(name, life, age)).toBe(due !== null && age >= due);
      // Signed by a clock that was more than an hour ahead.
      if (age < -60 * 60 * 1000) expect(isOverdue(name, life, age)).toBe(true);
    }),
    { seed: 16, numRuns: 1000 },
  );
});

test('pauses after failures double up to a quarter of an hour, and never shrink to nothing', () => {
  const longest = [1, 2, 3, 4, 5, 6, 60].map((failures) => backOff(failures, 1) / 60_000);
  expect(longest).toEqual([1, 2, 4, 8, 15, 15, 15]);
  assert(
    property(integer({ min: 1, max: 1000 }), jitter, (failures, drawn) => {
      expect(backOff(failures, drawn)).toBeGreaterThanOrEqual(backOff(failures, 1) / 2 - 1);
    }),
    { seed: 16 },
  );
});
