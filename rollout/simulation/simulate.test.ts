import { parsePlan, type Plan } from '@tidegate/rollout/core';
import { describe, expect, it } from 'vitest';
import { demoPlan } from './demo-plan.ts';
import { simulate, type SimulationResult } from './simulate.ts';

/** Fleet-hours of release A that the demo's three minutes leave room for, at 3,600 ×. */
const DEMO_HOURS = 65;

function plan(): Plan {
  const parsed = parsePlan(demoPlan);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.plan;
}

/** Both verdicts of the demo, and everybody on A in the end. */
function bothRight({ good, bad, onGood }: SimulationResult): boolean {
  const inCanaryOrFirstWave = bad.haltedIn !== null && bad.haltedIn <= 1;
  return (
    good.rollout.status === 'COMPLETED' &&
    bad.rollout.status === 'ROLLED_BACK' &&
    bad.rollout.evidence?.kind === 'detector' &&
    inCanaryOrFirstWave &&
    onGood === 60
  );
}

describe('the demo’s plan, without its I/O', () => {
  it(
    'completes the good release and takes back the bad one on at least 99 of 100 seeds',
    { timeout: 300_000 },
    () => {
      const results = Array.from({ length: 100 }, (_, i) => simulate({ plan: plan(), seed: String(i + 1) }));
      expect(results.filter(bothRight).length).toBeGreaterThanOrEqual(99);
      expect(Math.max(...results.map((each) => each.good.hours))).toBeLessThanOrEqual(DEMO_HOURS);
    },
  );

  it('is repeated by its seed', () => {
    expect(simulate({ plan: plan(), seed: '7' })).toEqual(simulate({ plan: plan(), seed: '7' }));
  });

  it(
    'takes back a release whose harm begins when everybody has it, by earlier rates',
    { timeout: 60_000 },
    () => {
      for (const seed of ['1', '2']) {
        const watched = { ...plan(), watchHours: 96 };
        const { bad } = simulate({ plan: watched, seed, badFactor: 1, lateAfterHours: 6, watch: true });
        expect(bad.hoursToComplete).not.toBeNull();
        expect(bad.rollout.status).toBe('ROLLED_BACK');
        expect(bad.rollout.evidence).toMatchObject({
          kind: 'detector',
          signal: 'fault',
          comparison: 'earlier',
        });
      }
    },
  );

  it('lets a completed release be that a storm hits when there is nothing to compare it with', () => {
    const watched = { ...plan(), watchHours: 96 };
    const storm = { afterHours: 70, hours: 12, factor: 6 };
    const { good } = simulate({ plan: watched, seed: '5', storm, watch: true, badFactor: 1 });
    expect(good.rollout).toMatchObject({ status: 'COMPLETED', evidence: null });
  });

  it('lets a release through that only seems bad because of a storm, and one that does no harm', () => {
    const result = simulate({
      plan: plan(),
      seed: '3',
      badFactor: 1,
      storm: { afterHours: 3, hours: 12, factor: 6 },
    });
    expect([result.good.rollout.status, result.bad.rollout.status]).toEqual(['COMPLETED', 'COMPLETED']);
  });
});
