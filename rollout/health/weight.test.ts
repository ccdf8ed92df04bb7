import { describe, expect, it } from 'vitest';
import { enoughExposure } from './exposure.ts';
import { wald } from './wald.ts';
import { isRepeat, meanRate, weight } from './weight.ts';

describe('weight', () => {
  it('is a charger’s own earlier rate, shrunk towards the mean, over the mean', () => {
    expect(weight({ events: 0, exposure: 0 }, 0.1)).toBe(1);
    expect(weight({ events: 10, exposure: 100 }, 0.1)).toBe(1);
    expect(weight({ events: 21, exposure: 100 }, 0.1)).toBe(2);
    // A quiet charger is not taken for one that never fails.
    expect(weight({ events: 0, exposure: 100 }, 0.1)).toBeCloseTo(1 / 11);
  });

  it('is 1 where nothing ever happened', () => expect(weight({ events: 0, exposure: 50 }, 0)).toBe(1));

  it('takes the mean over all exposure', () => {
    expect(
      meanRate([
        { events: 3, exposure: 10 },
        { events: 1, exposure: 30 },
      ]),
    ).toBe(0.1);
    expect(meanRate([])).toBe(0);
  });
});

describe('isRepeat', () => {
  const minute = 60_000;
  it('counts one event a window, from the last one that counted', () => {
    expect(isRepeat(null, 0, 15)).toBe(false);
    expect(isRepeat(0, 14 * minute, 15)).toBe(true);
    expect(isRepeat(0, 15 * minute, 15)).toBe(false);
  });

  it('also knows an earlier event that is reported late', () => {
    expect(isRepeat(20 * minute, 10 * minute, 15)).toBe(true);
    expect(isRepeat(20 * minute, 5 * minute, 15)).toBe(false);
  });
});

it('exposure is enough from what the soak asks for on', () => {
  expect(enoughExposure({ chargerHours: 10 }, 9.99)).toBe(false);
  expect(enoughExposure({ chargerHours: 10 }, 10)).toBe(true);
});

// research/rollout.md §5: at λ₀ = 0.02 per charger-day and α = 1 %.
it.each([
  [2, 596],
  [3, 178],
  [10, 16],
])('Wald’s bound at a ratio of %d is %d charger-days', (ratio, days) => {
  expect(Math.round(wald({ alpha: 0.01, ratio, rate: 0.02 }))).toBe(days);
});
