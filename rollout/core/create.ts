import type { PlanProblem } from './fields.ts';
import type { Plan, Rollout, Size, Step, StepPlan } from './types.ts';

/** Soak of the hold-back: nothing waits behind it, and a completed rollout stays watched. */
const HOLD_BACK_SOAK_HOURS = 1;
/** Share of a step's possible charger-hours that must be reported where the plan names none: a few silent chargers do not hold it. */
const DEFAULT_EXPOSURE_SHARE = 0.5;

export interface NewRollout {
  id: string;
  organisation: string;
  product: string;
  release: Rollout['release'];
  author: string;
  plan: Plan;
  seed: string;
  /** Selected chargers: what the steps' sizes are settled against. */
  population: number;
  now: number;
}

export type Created = { ok: true; rollout: Rollout } | { ok: false; problems: PlanProblem[] };

/** A rollout in `DRAFT` with its steps' sizes settled, or the reasons why this plan does not fit this fleet. */
export function createRollout(input: NewRollout): Created {
  const { plan, population } = input;
  const sizes = settle(plan, population);
  if (!sizes.ok) return sizes;
  const forward = [plan.canary, ...plan.waves].map((step, i) =>
    planned(i === 0 ? 'canary' : 'wave', step, sizes.sizes[i] ?? 0),
  );
  const steps = [...forward, holdBack(sizes.holdBack)];
  const { now, ...given } = input;
  return {
    ok: true,
    rollout: {
      ...given,
      createdAt: now,
      status: 'DRAFT',
      statusSince: now,
      approvals: [],
      // A wave whose share rounds to nothing in a small fleet has nobody to wait for.
      steps: steps.filter((step) => step.size > 0),
      current: -1,
      pausedBecause: null,
      evidence: null,
      holding: null,
      noticed: { hardChargers: 0, failed: 0 },
      judgedFrom: null,
      rollBackNext: false,
      unreturned: 0,
    },
  };
}

/**
 * Sizes of canary and waves, and of the hold-back, which takes what they leave. Shares are rounded along their running sum, so that
 * shares that add up to 1 cover the fleet exactly; the canary never rounds to nobody.
 */
function settle(
  plan: Plan,
  population: number,
): { ok: true; sizes: number[]; holdBack: number } | { ok: false; problems: PlanProblem[] } {
  const least = Math.max(
    1,
    'count' in plan.holdBack ? plan.holdBack.count : Math.floor(plan.holdBack.share * population + 1e-9),
  );
  if (population < 1 + least) {
    const detail = `${population} chargers are selected: too few for a canary and a hold-back of ${least}.`;
    return { ok: false, problems: [{ pointer: '', code: 'POPULATION_TOO_SMALL', detail }] };
  }
  let share = 0;
  let settled = 0;
  const settleOne = (size: Size, i: number) => {
    if ('count' in size) return size.count;
    share += size.share;
    const upTo = Math.floor(share * population + 1e-9);
    const n = i === 0 ? Math.max(1, upTo) : Math.max(0, upTo - settled);
    settled += n;
    return n;
  };
  const sizes = [plan.canary, ...plan.waves].map((step, i) => settleOne(step.size, i));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const rest = population - total;
  if (rest < 0) {
    const detail = `Canary and waves hold ${total} chargers, but only ${population} are selected.`;
    return { ok: false, problems: [{ pointer: '/waves', code: 'OVER_100_PERCENT', detail }] };
  }
  if (rest < least) {
    const detail = `Canary and waves leave ${rest} of ${population} chargers; the hold-back needs ${least}.`;
    return { ok: false, problems: [{ pointer: '/holdBack', code: 'HOLD_BACK_EMPTY', detail }] };
  }
  return { ok: true, sizes, holdBack: rest };
}

function planned(kind: Step['kind'], plan: StepPlan, size: number): Step {
  const { hours } = plan.soak;
  const chargerHours = plan.soak.chargerHours ?? size * hours * DEFAULT_EXPOSURE_SHARE;
  return fresh({
    kind,
    name: plan.name,
    size,
    soak: { hours, chargerHours },
    approvalsNeeded: plan.approvals,
  });
}

function holdBack(size: number): Step {
  const hours = HOLD_BACK_SOAK_HOURS;
  const soak = { hours, chargerHours: size * hours * DEFAULT_EXPOSURE_SHARE };
  return fresh({ kind: 'holdBack', name: 'hold-back', size, soak, approvalsNeeded: 0 });
}

function fresh(step: Pick<Step, 'kind' | 'name' | 'size' | 'soak' | 'approvalsNeeded'>): Step {
  return {
    ...step,
    status: 'PENDING',
    approvals: [],
    openedAt: null,
    soakingSince: null,
    gateSince: null,
    passedAt: null,
    drawnAt: null,
    skippedBecause: null,
  };
}
