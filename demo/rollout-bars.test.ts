import { expect, test } from 'vitest';
import { barsOf } from './rollout-bars.ts';
import type { StepView } from './rollout-view.ts';

const HOUR = 3_600_000;

function stepOf(change: Partial<StepView>): StepView {
  const soak = { hours: 20, chargerHours: 200, since: null, reportedChargerHours: 0 };
  return { name: 'canary', status: 'OPEN', size: 12, soak, counts: {}, ...change };
}

const barOf = (change: Partial<StepView>, now = 0) => barsOf({ steps: [stepOf(change)] }, now)[0];

test('an open step is as far as its chargers are', () => {
  expect(barOf({ counts: { HEALTHY: 3, VERIFYING: 2, OFFERED: 1 } })).toMatchObject({
    state: 'open',
    share: 3 / 12,
    note: '3/12 healthy  3 under way',
  });
});

test('a soak is as far as the slower of its time and its exposure', () => {
  const soak = { hours: 20, chargerHours: 200, since: new Date(0).toISOString() };
  const soaking = (reportedChargerHours: number, now: number) =>
    barOf({ status: 'SOAKING', counts: { HEALTHY: 12 }, soak: { ...soak, reportedChargerHours } }, now);
  expect(soaking(100, 15 * HOUR)).toMatchObject({ share: 0.5, note: '15 of 20 h, 100 of 200 charger-hours' });
  expect(soaking(180, 5 * HOUR)).toMatchObject({ share: 0.25 });
  expect(soaking(999, 99 * HOUR)).toMatchObject({ share: 1, note: '20 of 20 h, 200 of 200 charger-hours' });
});

test('a step that failed is as far as its chargers are back', () => {
  expect(barOf({ status: 'FAILED', counts: { ROLLING_BACK: 9, ROLLED_BACK: 3 } })).toMatchObject({
    share: 0.25,
    note: '0/12 healthy  9 rolling back  3 rolled back',
  });
});
