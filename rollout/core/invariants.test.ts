import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide } from './decide.ts';
import { offersTo } from './offers.ts';
import { bin, draft, HOUR, observation } from './testing.ts';
import { isWatched } from './tick.ts';
import type {
  AssignmentState,
  Decision,
  Observation,
  Rollout,
  RolloutEvent,
  RolloutStatus,
} from './types.ts';

/**
 * Random histories against the real core: people who do as they please, and evidence that may be anything at all. What is checked after
 * each event is written from design §4 and §8, not from the code.
 */
const people = fc.constantFrom('alice', 'bob', 'carol');
const often = <T>(weight: number, value: T) => ({ weight, arbitrary: fc.constant(value) });
const personEvents: fc.Arbitrary<RolloutEvent> = fc
  .tuple(
    fc.oneof(
      often(12, 'approve' as const),
      often(8, 'resume' as const),
      often(3, 'pause' as const),
      often(2, 'submit' as const),
      often(1, 'halt' as const),
      often(1, 'rollback' as const),
      often(1, 'cancel' as const),
    ),
    people,
  )
  .map(([kind, by]) => ({ kind, by, reason: 'r' }));

const counts = fc
  .oneof(
    often<Partial<Record<AssignmentState, number>>>(20, { HEALTHY: 14 }),
    often(2, {}),
    often(1, { HEALTHY: 2, VERIFYING: 2 }),
    often(1, { HEALTHY: 1, FAILED: 3 }),
    often(1, { ROLLING_BACK: 2, ROLLED_BACK: 2 }),
    often(1, { ROLLED_BACK: 4 }),
    often(1, { LOST: 1, ROLLED_BACK: 3 }),
  )
  .chain((first) => fc.constantFrom([first, first, first], [first, first, first], [first, {}, {}]));

const ticks = fc
  .record({
    counts,
    exposure: fc.oneof(often(1, 0), often(9, 1000)),
    treated: fc.oneof(often(40, 1), often(1, 60)),
    hard: fc.oneof(often(40, 0), often(2, 1), often(1, 3)),
    control: fc.oneof(often(9, true), often(1, false)),
  })
  .map((drawn) => (now: number): RolloutEvent => {
    const bins = [{ ...bin(now, drawn.treated, 5), ...(drawn.control ? {} : { controlExposure: 0 }) }];
    const hard = { chargers: drawn.hard, sites: Math.min(drawn.hard, 2), code: 'bootLoop' };
    const steps = drawn.counts.map((each) => ({ counts: each, treatedChargerHours: drawn.exposure }));
    return { kind: 'tick', observation: observation({ steps, bins, hard }) };
  });

type Act = { after: number; event: (now: number) => RolloutEvent };
const acts: fc.Arbitrary<Act> = fc.record({
  after: fc.constantFrom(0, HOUR, 6 * HOUR, 11 * HOUR),
  event: fc.oneof(
    { weight: 1, arbitrary: personEvents.map((event) => () => event) },
    { weight: 3, arbitrary: ticks },
  ),
});
const plans = fc.record({ approvals: fc.constantFrom(0, 1, 2), gate: fc.constantFrom(0, 1, 2) });
const histories = fc.tuple(plans, fc.array(acts, { minLength: 20, maxLength: 80 }));
const RUNS = { seed: 58, numRuns: 1000 };

interface Taken {
  before: Rollout;
  event: RolloutEvent;
  decision: Decision & { ok: true };
  now: number;
}

function replay([plan, history]: [{ approvals: number; gate: number }, Act[]]): Taken[] {
  let rollout = draft({
    approvals: plan.approvals,
    deadlineHours: 2,
    canary: { size: { count: 4 }, soak: { hours: 10, chargerHours: 20 }, approvals: plan.gate },
  });
  let now = 0;
  const taken: Taken[] = [];
  // Half of all histories would only see a draft; what people do there has tests of its own.
  const opening: Act[] = ['submit', 'approve', 'approve'].map((kind, i) => ({
    after: 0,
    event: () => ({ kind, by: ['alice', 'bob', 'carol'][i], reason: 'r' }) as RolloutEvent,
  }));
  for (const act of [...opening, ...history]) {
    now += act.after;
    const event = act.event(now);
    const decision = decide(rollout, event, now);
    if (!decision.ok) continue;
    taken.push({ before: rollout, event, decision, now });
    rollout = decision.rollout;
  }
  return taken;
}

const NEXT: Record<RolloutStatus, RolloutStatus[]> = {
  DRAFT: ['AWAITING_APPROVAL', 'SCHEDULED', 'CANCELLED'],
  AWAITING_APPROVAL: ['SCHEDULED', 'CANCELLED', 'HALTED'],
  SCHEDULED: ['RUNNING', 'CANCELLED', 'HALTED'],
  RUNNING: ['PAUSED', 'COMPLETED', 'HALTED'],
  PAUSED: ['RUNNING', 'HALTED'],
  COMPLETED: ['HALTED'],
  HALTED: ['ROLLING_BACK', 'AWAITING_APPROVAL'],
  ROLLING_BACK: ['ROLLED_BACK'],
  ROLLED_BACK: [],
  CANCELLED: [],
};

describe('invariant 5: a wave starts only behind passed gates and fresh approvals by others than the author', () => {
  it('holds in every history', () => {
    let drawn = 0;
    let skipped = 0;
    fc.assert(
      fc.property(histories, (history) => {
        for (const { before, event, decision } of replay(history)) {
          for (const effect of decision.effects) {
            if (effect.kind !== 'draw') continue;
            drawn += effect.step;
            const { rollout } = decision;
            expect(event.kind).toBe('tick');
            expect(rollout.status).toBe('RUNNING');
            expect(rollout.approvals.length).toBeGreaterThanOrEqual(rollout.plan.approvals);
            for (const step of rollout.steps.slice(0, effect.step)) {
              expect(step.status).toBe('PASSED');
              expect(new Set(step.approvals.map((each) => each.by)).size).toBeGreaterThanOrEqual(
                step.approvalsNeeded,
              );
              if (step.skippedBecause !== null) {
                // Nobody ran it there, so that nothing could soak. Never the canary: then nobody would have run it at all.
                expect([step.kind, step.soakingSince]).toEqual(['wave', null]);
                skipped += 1;
                continue;
              }
              expect(step.soakingSince).not.toBeNull();
              const soaked = (step.gateSince ?? 0) - (step.soakingSince ?? Infinity);
              expect(soaked).toBeGreaterThanOrEqual(step.soak.hours * HOUR);
            }
            // A gate that was not there, with its approvals, before this tick was not passed by it.
            if (before.current < effect.step && before.current >= 0) {
              expect(before.steps[before.current]?.status).toBe('GATE');
            }
          }
          const approvals = [
            ...decision.rollout.approvals,
            ...decision.rollout.steps.flatMap((each) => each.approvals),
          ];
          expect(approvals.map((each) => each.by)).not.toContain('alice');
        }
      }),
      RUNS,
    );
    // The histories do reach later steps, else the above would say nothing.
    expect(drawn).toBeGreaterThan(100);
    expect(skipped).toBeGreaterThan(0);
  });

  it('and pausing or resuming never moves a step', () => {
    fc.assert(
      fc.property(histories, (history) => {
        for (const { before, event, decision } of replay(history)) {
          if (event.kind !== 'resume' && event.kind !== 'pause') continue;
          expect(decision.rollout.current).toBe(before.current);
          expect(decision.rollout.steps).toEqual(before.steps);
          expect(decision.effects.filter((effect) => effect.kind !== 'wake')).toEqual([]);
        }
      }),
      RUNS,
    );
  });
});

describe('invariant 8: after HALTED nothing goes forward without fresh approvals, and nobody is left behind unlisted', () => {
  it('holds in every history', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(histories, (history) => {
        for (const { before, event, decision } of replay(history)) {
          const { rollout, effects } = decision;
          seen.add(rollout.status);
          if (rollout.status === 'HALTED' && before.status !== 'HALTED') {
            expect(rollout.evidence?.sentence).toBeTruthy();
            if (before.status !== 'AWAITING_APPROVAL' && before.status !== 'SCHEDULED') {
              expect(effects).toContainEqual({ kind: 'withdraw' });
            }
          }
          if (['HALTED', 'ROLLING_BACK', 'ROLLED_BACK'].includes(before.status)) {
            expect(effects.some((effect) => effect.kind === 'draw')).toBe(false);
          }
          if (before.status === 'HALTED' && before.rollBackNext && event.kind === 'tick') {
            expect([rollout.status, effects]).toEqual(['ROLLING_BACK', [{ kind: 'rollBack' }]]);
          }
          if (before.status === 'HALTED' && rollout.status === 'AWAITING_APPROVAL') {
            expect(rollout.approvals).toEqual([]);
          }
          if (rollout.status === 'ROLLED_BACK' && before.status === 'ROLLING_BACK' && event.kind === 'tick') {
            expect(unsettled(event.observation)).toBe(0);
          }
          // Evidence, once there, stays.
          if (before.evidence !== null) expect(rollout.evidence).not.toBeNull();
        }
      }),
      RUNS,
    );
    expect([...seen].sort()).toEqual(
      Object.keys(NEXT)
        .filter((status) => status !== 'DRAFT')
        .sort(),
    );
  });

  it('a step takes chargers in only behind passed gates, and only where what happens to them is judged', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(histories, (history) => {
        for (const { decision, now } of replay(history)) {
          const { rollout } = decision;
          for (const [i, { status }] of rollout.steps.entries()) {
            if (!offersTo(rollout, i, now)) continue;
            seen.add(`${rollout.status} ${status}`);
            expect(isWatched(rollout, now)).toBe(true);
            expect(rollout.steps.slice(0, i).map((step) => step.status)).toEqual(Array(i).fill('PASSED'));
          }
        }
      }),
      RUNS,
    );
    expect([...seen].sort()).toEqual([
      'COMPLETED PASSED',
      'RUNNING OPEN',
      'RUNNING PASSED',
      'RUNNING SOAKING',
    ]);
  });

  it('whatever is watched is halted by the detector, paused or not', () => {
    fc.assert(
      fc.property(histories, fc.constantFrom('RUNNING', 'PAUSED', 'COMPLETED'), (history, status) => {
        for (const { decision, now } of replay(history)) {
          if (decision.rollout.status !== status) continue;
          const watchEnds = decision.rollout.statusSince + 24 * HOUR;
          if (status === 'COMPLETED' && now >= watchEnds) continue;
          const harm = observation({ bins: [bin(now, 60, 5)] });
          const halted = decide(decision.rollout, { kind: 'tick', observation: harm }, now);
          expect(halted.ok && halted.rollout.status).toBe('HALTED');
        }
      }),
      { ...RUNS, numRuns: 300 },
    );
  });
});

it('goes only along the arrows of design §4', () => {
  fc.assert(
    fc.property(histories, (history) => {
      for (const { before, decision } of replay(history)) {
        const { status } = decision.rollout;
        if (status !== before.status) expect(NEXT[before.status]).toContain(status);
      }
    }),
    RUNS,
  );
});

it('never changes the value it is given', () => {
  fc.assert(
    fc.property(histories, (history) => {
      const frozen = JSON.stringify(draft());
      for (const { before, event, now } of replay(history)) {
        const copy = JSON.stringify(before);
        decide(before, event, now);
        expect(JSON.stringify(before)).toBe(copy);
      }
      expect(JSON.stringify(draft())).toBe(frozen);
    }),
    { ...RUNS, numRuns: 200 },
  );
});

function unsettled({ steps, withoutFallback }: Observation): number {
  const count = (state: AssignmentState) => steps.reduce((sum, step) => sum + (step.counts[state] ?? 0), 0);
  return Math.max(0, count('VERIFYING') + count('HEALTHY') - withoutFallback) + count('ROLLING_BACK');
}
