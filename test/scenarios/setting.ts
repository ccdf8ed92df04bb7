/** What every scenario starts from: the plan, the rollout, and what the service may tell a charger. */
import type { AssignmentProgress } from '@tidegate/client-sdk/protocol';
import {
  type Assignment,
  type AssignmentEvent,
  createRollout,
  parsePlan,
  type Rollout,
} from '@tidegate/rollout/core';

const HOUR = 3_600_000;
export const FLEET_SIZE = 20;

/** 20 chargers at 4 sites: canary 4, one wave of 10, hold-back 6. */
export const PLAN = {
  canary: { size: { count: 4 }, soak: { hours: 10, chargerHours: 30 }, approvals: 1 },
  waves: [{ name: 'wave', size: { count: 10 }, soak: { hours: 6, chargerHours: 60 } }],
  holdBack: { count: 6 },
  approvals: 1,
  deadlineHours: 5,
  maxFailedShare: 0.25,
  healthyShare: 0.75,
  watchHours: 24,
};

/** A rollout of 2.0.0 in `DRAFT`, under this plan. */
export function newRollout(written: unknown): Rollout {
  const plan = parsePlan(written);
  if (!plan.ok) throw new Error(JSON.stringify(plan.problems));
  const created = createRollout({
    id: 'r-1',
    organisation: 'acme',
    product: 'acme.dc150',
    release: { path: 'acme.dc150/2.0.0', version: '2.0.0', sha256: 'b'.repeat(64), length: 1 },
    author: 'alice',
    plan: plan.plan,
    seed: 'scenario',
    population: FLEET_SIZE,
    now: 0,
  });
  if (!created.ok) throw new Error(JSON.stringify(created.problems));
  return created.rollout;
}

/** What the service may tell one charger beside the rollout's own course. */
export const ORDERS = {
  'is offered it': (now: number) => ({ kind: 'offered', deadlineAt: now + PLAN.deadlineHours * HOUR }),
  'asks whether it may boot': () => ({ kind: 'activated' }),
  'is sent back': (now: number) => ({ kind: 'rollBack', deadlineAt: now + PLAN.deadlineHours * HOUR }),
  'is taken out': () => ({ kind: 'skip', code: 'NOT_WANTED', detail: 'It was taken out of the rollout.' }),
  'meets its deadline': () => ({ kind: 'deadline' }),
} as const satisfies Record<string, (now: number) => AssignmentEvent>;

export function whyOf(progress: AssignmentProgress): { code?: string } {
  return progress === 'FAILED' ? { code: 'DIGEST_MISMATCH' } : {};
}

export const UNTOUCHED: Assignment = {
  state: 'PENDING',
  offeredAt: null,
  activatedAt: null,
  deadlineAt: null,
  code: null,
  detail: null,
};
