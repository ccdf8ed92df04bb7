import { createRollout, isWatched, type Plan, type Rollout } from '@tidegate/rollout/core';
import { checkIn } from './check-in.ts';
import { buildFleet } from './fleet.ts';
import { Baselines, Repeats } from './health-counts.ts';
import { RolloutRun } from './rollout-run.ts';
import { LATE, type World } from './world.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Simulated time moves in these steps; every charger checks in on each second one. */
const STEP = 10 * MINUTE;
const AUTHOR = 'alice';
const APPROVER = 'bob';

export interface SimulationOptions {
  plan: Plan;
  seed: string;
  /** Default 60 at 8 sites. */
  chargers?: number;
  sites?: number;
  /** Mean connector faults per charger-day. Default 3. */
  faultsPerDay?: number;
  /** Default 1. */
  frailtyShape?: number;
  /** Days of reports before the first rollout, from which the weights come. Default 3. */
  burnInDays?: number;
  /** Storm that hits everybody, in hours after release A starts. Default: 6 h from hour 8 on, × 4. Null for none. */
  storm?: { afterHours: number; hours: number; factor: number } | null;
  /** What release B does to the rate of connector faults. Default 3. */
  badFactor?: number;
  /** Hours after release B has completed at which it begins to do harm, by `lateFactor`; null for never. Default null. */
  lateAfterHours?: number | null;
  /** Default 3. */
  lateFactor?: number;
  /** Whether completed rollouts are followed to the end of their watch. Default false. */
  watch?: boolean;
  /** A rollout that has not ended by then counts as it stands. Default 200. */
  giveUpHours?: number;
}

export interface RunResult {
  rollout: Rollout;
  /** Fleet-hours from submission to the end. */
  hours: number;
  /** Fleet-hours from submission to `HALTED`, or null. */
  hoursToHalt: number | null;
  /** Fleet-hours from submission to `COMPLETED`, or null. */
  hoursToComplete: number | null;
  /** Step in which it was halted, or null. */
  haltedIn: number | null;
  everTreated: number;
  notes: { at: number; note: string }[];
}

export interface SimulationResult {
  /** Release A, which does no harm. */
  good: RunResult;
  /** Release B, which raises connector faults. */
  bad: RunResult;
  /** Chargers that run A in the end. */
  onGood: number;
}

/**
 * The demo without its I/O: burn-in, release A through the whole plan under a storm, then release B. Cohorts, states, weights and the detector are
 * the real ones; only chargers, network and database are played.
 */
export function simulate(options: SimulationOptions): SimulationResult {
  const { plan, seed, burnInDays = 3, storm = { afterHours: 8, hours: 6, factor: 4 } } = options;
  const begin = Date.UTC(2026, 0, 5);
  const start = begin + burnInDays * 24 * HOUR;
  const stormFrom = start + (storm?.afterHours ?? 0) * HOUR;
  const fleet = buildFleet({
    seed,
    chargers: options.chargers ?? 60,
    sites: options.sites ?? 8,
    faultsPerDay: options.faultsPerDay ?? 3,
    frailtyShape: options.frailtyShape ?? 1,
    storms:
      storm === null ? [] : [{ from: stormFrom, to: stormFrom + storm.hours * HOUR, factor: storm.factor }],
    faultFactors: { B: options.badFactor ?? 3, [LATE]: options.lateFactor ?? 3 },
    running: 'factory',
    from: begin,
  });
  const world: World = {
    fleet,
    baselines: new Baselines(),
    repeats: new Repeats(plan.detector.deduplicateMinutes),
    binMinutes: plan.detector.binMinutes,
    now: begin,
    frozen: false,
    giveUpHours: options.giveUpHours ?? 200,
    watch: options.watch ?? false,
    lateAfterHours: options.lateAfterHours ?? null,
    lateFrom: Infinity,
  };
  burnIn(world, start);
  world.baselines.freeze();
  world.frozen = true;
  const good = roll(world, plan, 'A', seed);
  const bad = roll(world, plan, 'B', seed);
  return { good, bad, onGood: fleet.filter((charger) => charger.running === 'A').length };
}

/** Nothing is decided yet, so that one report an hour is enough. */
function burnIn(world: World, until: number): void {
  while (world.now < until) {
    world.now += HOUR;
    for (const charger of world.fleet) checkIn(world, charger, null);
  }
}

/** One step of time: the chargers whose turn it is check in, then the rollout is looked at. */
function pass(world: World, run: RolloutRun): void {
  world.now += STEP;
  const turn = Math.round(world.now / STEP) % 2;
  for (const charger of world.fleet) if (charger.phase === turn) checkIn(world, charger, run);
  run.tickIfDue(world.now);
}

function roll(world: World, plan: Plan, release: string, seed: string): RunResult {
  const created = createRollout({
    id: `r-${release}`,
    organisation: 'sim',
    product: 'sim.dc',
    release: { path: `sim.dc/${release}`, version: release, sha256: release, length: 1 },
    author: AUTHOR,
    plan,
    seed: `${seed} ${release}`,
    population: world.fleet.length,
    now: world.now,
  });
  if (!created.ok) throw new Error(JSON.stringify(created.problems));
  const run = new RolloutRun(created.rollout, world.fleet, world.baselines.earlier());
  const from = world.now;
  let haltedAt: number | null = null;
  let completedAt: number | null = null;
  run.take({ kind: 'submit', by: AUTHOR, reason: 'simulation' }, world.now);
  while (!hasEnded(run.rollout, world) && world.now < from + world.giveUpHours * HOUR) {
    if (waitsForApproval(run.rollout))
      run.take({ kind: 'approve', by: APPROVER, reason: 'simulation' }, world.now);
    pass(world, run);
    if (haltedAt === null && run.rollout.evidence !== null) haltedAt = world.now;
    if (completedAt === null && run.rollout.status === 'COMPLETED') {
      completedAt = world.now;
      if (release === 'B') world.lateFrom = world.now + (world.lateAfterHours ?? Infinity) * HOUR;
    }
  }
  return {
    rollout: run.rollout,
    hours: (world.now - from) / HOUR,
    hoursToHalt: haltedAt === null ? null : (haltedAt - from) / HOUR,
    hoursToComplete: completedAt === null ? null : (completedAt - from) / HOUR,
    haltedIn: haltedAt === null ? null : run.rollout.current,
    everTreated: run.everTreated(),
    notes: run.notes,
  };
}

function hasEnded(rollout: Rollout, { watch, now }: World): boolean {
  if (rollout.status === 'COMPLETED') return !watch || !isWatched(rollout, now);
  return rollout.status === 'ROLLED_BACK';
}

function waitsForApproval(rollout: Rollout): boolean {
  if (rollout.status === 'AWAITING_APPROVAL') return true;
  const step = rollout.steps[rollout.current];
  return (
    rollout.status === 'RUNNING' && step?.status === 'GATE' && step.approvals.length < step.approvalsNeeded
  );
}
