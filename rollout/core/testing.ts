import { createRollout } from './create.ts';
import { decide } from './decide.ts';
import { parsePlan } from './plan.ts';
import type { Decision, Observation, Rollout, RolloutEvent, SignalBin, TreatedCharger } from './types.ts';

export const HOUR = 3_600_000;

/** A rollout in `DRAFT` over 20 chargers: canary 4, wave 10, hold-back 6; one approval for the plan and one at the canary's gate. */
export function draft(change: Record<string, unknown> = {}): Rollout {
  const parsed = parsePlan({
    canary: { size: { count: 4 }, soak: { hours: 10, chargerHours: 20 }, approvals: 1 },
    waves: [{ size: { count: 10 }, soak: { hours: 5, chargerHours: 20 } }],
    holdBack: { count: 6 },
    maxFailedShare: 0.25,
    healthyShare: 0.75,
    watchHours: 24,
    ...change,
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const created = createRollout({
    id: 'r-1',
    organisation: 'acme',
    product: 'acme.dc150',
    release: { path: 'acme.dc150/2', version: '2.0.0', sha256: 'b'.repeat(64), length: 1 },
    author: 'alice',
    plan: parsed.plan,
    seed: 'seed',
    population: 20,
    now: 0,
  });
  if (!created.ok) throw new Error(JSON.stringify(created.problems));
  return created.rollout;
}

/** Nothing counted, with whatever the test cares about laid over. */
export function observation(change: Partial<Observation> = {}): Observation {
  return {
    steps: [0, 1, 2].map(() => ({ counts: {}, treatedChargerHours: 0 })),
    bins: [],
    treated: spread(change.bins ?? []),
    earlier: {},
    hard: { chargers: 0, sites: 0, code: null },
    withoutFallback: 0,
    ...change,
  };
}

/** What is treated in bins of connector faults, as even as may be over six chargers at three sites. */
export function spread(bins: readonly SignalBin[]): TreatedCharger[] {
  return Array.from({ length: 6 }, (_, i) => ({
    signal: 'fault',
    serial: `T-${i}`,
    site: `site-${i % 3}`,
    events: bins.map(({ from, treatedEvents }) => ({ from, count: Math.floor((treatedEvents + i) / 6) })),
    exposure: bins.reduce((sum, { treatedExposure }) => sum + treatedExposure / 6, 0),
    from: Math.min(...bins.map(({ from }) => from)),
    to: Math.max(...bins.map(({ from }) => from)) + HOUR,
  }));
}

/** Everything a step needs to go on: all of its chargers and of those before are healthy and have reported, beside a control. */
export function thriving(rollout: Rollout, now: number): Observation {
  return observation({
    steps: rollout.steps.map((step, i) =>
      i <= rollout.current
        ? { counts: { HEALTHY: step.size }, treatedChargerHours: 1000 }
        : { counts: {}, treatedChargerHours: 0 },
    ),
    bins: [bin(now, 1, 5)],
  });
}

/** A bin of connector faults with equal exposures, unless told otherwise. */
export function bin(from: number, treatedEvents: number, controlEvents: number, exposure = 100) {
  return {
    signal: 'fault' as const,
    from,
    treatedEvents,
    treatedExposure: exposure,
    controlEvents,
    controlExposure: exposure,
  };
}

export function must(rollout: Rollout, event: RolloutEvent, now: number): Decision & { ok: true } {
  const decision = decide(rollout, event, now);
  if (!decision.ok) throw new Error(`${decision.code}: ${decision.detail}`);
  return decision;
}

/** Ticks with a thriving fleet, hour by hour, until `done`; bob approves gates if asked to. */
export function drive(
  rollout: Rollout,
  from: number,
  done: (rollout: Rollout) => boolean,
  approver: string | null = 'bob',
): { rollout: Rollout; now: number } {
  let current = rollout;
  for (let now = from; now < from + 200 * HOUR; now += HOUR) {
    if (done(current)) return { rollout: current, now };
    const step = current.steps[current.current];
    if (approver !== null && step?.status === 'GATE' && step.approvals.length < step.approvalsNeeded) {
      current = must(current, { kind: 'approve', by: approver, reason: 'fine' }, now).rollout;
    }
    current = must(current, { kind: 'tick', observation: thriving(current, now) }, now).rollout;
  }
  throw new Error(`It never got there; it is ${current.status}.`);
}

/** Submitted, approved and running, its canary open. */
export function running(change: Record<string, unknown> = {}): Rollout {
  const submitted = must(draft(change), { kind: 'submit', by: 'alice', reason: 'go' }, 0).rollout;
  const scheduled =
    submitted.status === 'SCHEDULED'
      ? submitted
      : must(submitted, { kind: 'approve', by: 'bob', reason: 'fine' }, 0).rollout;
  return must(scheduled, { kind: 'tick', observation: observation() }, 0).rollout;
}
