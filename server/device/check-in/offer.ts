import type { Transaction } from 'kysely';
import type { AssignmentReport, DirectiveTarget } from '@tidegate/client-sdk/protocol';
import {
  IN_FLIGHT,
  type AssignmentState,
  type Rollout,
  isSilent,
  isTreated,
  offersTo,
} from '@tidegate/rollout/core';
import { SUPERSEDED, SUPERSEDED_DETAIL } from '@tidegate/rollout/shell';
import { type Database, moveAssignment } from '../../db/index.ts';
import type { Wish } from '../directive.ts';
import type { Batch, Held, Visitor, Watched } from './batch.ts';
import type { Limits } from './limits.ts';
import { DROPPABLE, apply, backOf, isOver, legOf } from './progress.ts';

const HOUR = 3_600_000;

/** What is wanted of a charger now, and whether it should come back soon because something is going on. */
export interface Want {
  wish: Wish;
  busy: boolean;
}

const NOTHING: Want = { wish: { action: 'none' }, busy: false };
/** Something is to come, but not now. */
const LATER: Want = { wish: { action: 'none' }, busy: true };

/** Rollouts whose chargers are sent back, stragglers included. */
export const GOES_BACK: ReadonlySet<Rollout['status']> = new Set(['ROLLING_BACK', 'ROLLED_BACK']);
/** What is under way goes on in these; only `RUNNING` offers anew. */
const GOES_ON: ReadonlySet<Rollout['status']> = new Set(['RUNNING', 'PAUSED', 'COMPLETED']);

/**
 * Decides what a charger is told, and offers it what is due: the way back first, then what it was offered before, then a new offer.
 * The caller holds the rollouts locked, so that nothing is offered once a halt has committed. Design §8.8
 */
export async function wantOf(
  trx: Transaction<Database>,
  visitor: Visitor,
  report: AssignmentReport | undefined,
  batch: Batch,
  limits: Limits,
): Promise<Want> {
  for (const held of visitor.assignments) {
    const watched = batch.rollouts.get(held.rollout);
    if (watched === undefined) continue;
    const want =
      (await wayBack(trx, visitor, held, watched, batch, limits)) ??
      underWay(held, watched, batch) ??
      (await newOffer(trx, visitor, held, watched, batch, limits));
    if (want !== undefined) return want;
  }
  return withdrawn(visitor, report, batch) ?? NOTHING;
}

/** Whether a visitor may ask for room within the limits, so that the offer lock is taken early. */
export function mayNeedRoom(held: Held, watched: Watched | undefined, now: number): boolean {
  if (watched === undefined) return false;
  if (isOfferable(held, watched, now)) return true;
  if (held.state === 'LOST') return true;
  return (
    held.state === 'ROLLING_BACK' && GOES_BACK.has(watched.rollout.status) && held.backOfferedAt === null
  );
}

async function wayBack(
  trx: Transaction<Database>,
  visitor: Visitor,
  held: Held,
  watched: Watched,
  batch: Batch,
  limits: Limits,
): Promise<Want | undefined> {
  const { rollout } = watched;
  const { fallback } = held;
  if (fallback === null || !GOES_BACK.has(rollout.status)) return undefined;
  // It had been given up, or turns up on the release: it gets as long as the others had.
  if (isTreated(held)) {
    const deadlineAt = batch.now + rollout.plan.deadlineHours * HOUR;
    if (!(await apply(trx, visitor, held, { kind: 'rollBack', deadlineAt }, batch))) return LATER;
  }
  if (held.state !== 'ROLLING_BACK') return undefined;
  if (batch.barred.has(fallback.sha256)) return LATER;
  if (held.backOfferedAt === null) {
    if (!(await limits.hasRoom(visitor.site, watched))) return LATER;
    if (!(await noteOffered(trx, visitor, held, batch))) return LATER;
  }
  return install(backOf(held.id), fallback, 'rollback');
}

/** Takes a place within the limits for the way back. */
async function noteOffered(
  trx: Transaction<Database>,
  visitor: Visitor,
  held: Held,
  { organisation, now }: Batch,
): Promise<boolean> {
  const key = { organisation, rollout: held.rollout, serial: visitor.serial };
  const at = new Date(now);
  const move = { from: held.state, to: held.state, at, fields: { back_offered_at: at } };
  if (!(await moveAssignment(trx, key, move))) return false;
  held.backOfferedAt = now;
  return true;
}

function underWay(held: Held, { rollout }: Watched, batch: Batch): Want | undefined {
  if (!(IN_FLIGHT as readonly AssignmentState[]).includes(held.state)) return undefined;
  const barred = batch.barred.get(rollout.release.sha256);
  if (GOES_ON.has(rollout.status) && barred === undefined)
    return install(held.id, rollout.release, 'rollout');
  // What boots already is not dropped: it gets its fallback.
  return held.state === 'VERIFYING' ? LATER : withdraw(held.id, barred ?? rollout.status);
}

/** Not taken yet: never offered, or given up before it activated anything. */
function isOfferable(held: Held, { rollout }: Watched, now: number): boolean {
  return (held.state === 'PENDING' || isSilent(held)) && offersTo(rollout, held.step, now);
}

async function newOffer(
  trx: Transaction<Database>,
  visitor: Visitor,
  held: Held,
  watched: Watched,
  batch: Batch,
  limits: Limits,
): Promise<Want | undefined> {
  const { rollout } = watched;
  if (!isOfferable(held, watched, batch.now) || batch.barred.has(rollout.release.sha256)) return undefined;
  if (await isSuperseded(trx, visitor, held, watched, batch)) {
    const superseded = { kind: 'skip', code: SUPERSEDED, detail: SUPERSEDED_DETAIL } as const;
    await apply(trx, visitor, held, superseded, batch);
    return undefined;
  }
  if (!(await limits.hasRoom(visitor.site, watched))) return LATER;
  const deadlineAt = batch.now + rollout.plan.deadlineHours * HOUR;
  if (!(await apply(trx, visitor, held, { kind: 'offered', deadlineAt }, batch))) return LATER;
  return install(held.id, rollout.release, 'rollout');
}

/**
 * Whether a rollout that was made later has drawn the charger. A completed rollout does not keep its chargers from others, and what
 * it still wants of one must not undo what a later one brought. Looked up for those alone that are caught up.
 */
async function isSuperseded(
  trx: Transaction<Database>,
  { serial }: Visitor,
  held: Held,
  { rollout }: Watched,
  { organisation }: Batch,
): Promise<boolean> {
  if (rollout.steps[held.step]?.status !== 'PASSED') return false;
  const later = await trx
    .selectFrom('assignments')
    .innerJoin('rollouts', (join) =>
      join
        .onRef('rollouts.organisation', '=', 'assignments.organisation')
        .onRef('rollouts.id', '=', 'assignments.rollout'),
    )
    .select('rollouts.id')
    .where('assignments.organisation', '=', organisation)
    .where('assignments.serial', '=', serial)
    .where('rollouts.created_at', '>', new Date(rollout.createdAt))
    .where('rollouts.id', '<>', rollout.id)
    .executeTakeFirst();
  return later !== undefined;
}

/** The charger works on something that is not wanted of it any more. */
function withdrawn(
  visitor: Visitor,
  report: AssignmentReport | undefined,
  { rollouts, now }: Batch,
): Want | undefined {
  if (report === undefined || !DROPPABLE.has(report.progress)) return undefined;
  const { id, leg } = legOf(report.assignment);
  const held = visitor.assignments.find((assignment) => assignment.id === id);
  const rollout = held === undefined ? undefined : rollouts.get(held.rollout)?.rollout;
  // One that was given up and is here again waits for room, as long as there is something to wait for.
  const waits =
    held?.state === 'LOST' && rollout !== undefined && !(leg === 'forward' && isOver(rollout, now));
  const goesOn = waits || held?.state === (leg === 'forward' ? 'VERIFYING' : 'ROLLING_BACK');
  return goesOn ? LATER : withdraw(report.assignment, held?.state ?? 'unknown assignment');
}

function withdraw(assignment: string, reason: string): Want {
  return { wish: { action: 'withdraw', assignment, reason }, busy: false };
}

function install(assignment: string, target: DirectiveTarget, purpose: 'rollout' | 'rollback'): Want {
  const { path, sha256, length, version } = target;
  return {
    wish: { action: 'install', assignment, purpose, target: { path, sha256, length, version } },
    busy: true,
  };
}
