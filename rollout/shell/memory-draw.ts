import {
  allocate,
  type AssignmentState,
  cohortKey,
  drawOffset,
  IN_FLIGHT,
  ringDistance,
  type Rollout,
} from '../core/index.ts';

export interface MemoryCharger {
  serial: string;
  product: string;
  hardware: string;
  site: string;
  /** `<hardware>/<site type>/<region>`. */
  stratum: string;
  /** Digest of what it runs. */
  running: string | null;
}

interface Taken {
  rollout: Rollout;
  assignments: ReadonlyMap<string, { step: number; state: AssignmentState }>;
}

/** The same draw as in the database, over a list. */
export function drawCohort(
  rollout: Rollout,
  step: number,
  chargers: MemoryCharger[],
  taken: Taken['assignments'],
  others: Taken[],
): MemoryCharger[] {
  const selected = chargers.filter(
    (each) => each.product === rollout.product && (taken.has(each.serial) || !isBusy(each.serial, others)),
  );
  const drawn = [...taken.values()].filter((each) => each.step === step);
  // Where all that it drew were skipped, others take their places.
  const filled = drawn.every(({ state }) => state === 'SKIPPED') ? 0 : drawn.length;
  const missing = Math.max(0, (rollout.steps[step]?.size ?? 0) - filled);
  const names = [...new Set(selected.map(({ stratum }) => stratum))].sort();
  const strata = names.map((stratum) => {
    const members = selected.filter((each) => each.stratum === stratum);
    return { stratum, size: members.length, taken: members.filter(({ serial }) => taken.has(serial)).length };
  });
  return allocate(strata, missing).flatMap(({ stratum, count }) => {
    const offset = drawOffset(rollout.seed, stratum);
    return selected
      .filter((each) => each.stratum === stratum && !taken.has(each.serial))
      .map((each) => ({ each, distance: ringDistance(cohortKey(each.serial), offset) }))
      .sort((a, b) => a.distance - b.distance || (a.each.serial < b.each.serial ? -1 : 1))
      .slice(0, count)
      .map(({ each }) => each);
  });
}

const UNDER_WAY: ReadonlySet<AssignmentState> = new Set(['PENDING', ...IN_FLIGHT, 'ROLLING_BACK']);
const RUNS: ReadonlySet<Rollout['status']> = new Set(['RUNNING', 'PAUSED', 'HALTED', 'ROLLING_BACK']);

/** A charger takes part in one rollout at a time. */
export function isBusy(serial: string, others: Taken[]): boolean {
  return others.some(({ rollout, assignments }) => {
    const state = assignments.get(serial)?.state;
    return RUNS.has(rollout.status) && state !== undefined && UNDER_WAY.has(state);
  });
}
