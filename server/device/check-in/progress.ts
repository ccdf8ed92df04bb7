import type { Transaction } from 'kysely';
import type { AssignmentProgress, AssignmentReport } from '@tidegate/client-sdk/protocol';
import {
  type Assignment,
  type AssignmentEvent,
  type Rollout,
  decideAssignment,
  isWatched,
} from '@tidegate/rollout/core';
import { type AssignmentFields, type Database, moveAssignment } from '../../db/index.ts';
import type { Batch, Held, Visitor } from './batch.ts';
import type { Limits } from './limits.ts';

const HOUR = 3_600_000;
/** The way back has an assignment id of its own, so that its reports are told apart from those of the way forward. */
const BACK = '.back';

/** Before the charger boots the image, it can still drop it. */
export const DROPPABLE: ReadonlySet<AssignmentProgress> = new Set([
  'DOWNLOADING',
  'STAGED',
  'WAITING_WINDOW',
  'INSTALLING',
]);

/** Id of the way back of an assignment. */
export const backOf = (id: string): string => id + BACK;

/** Splits an id as a charger names it. */
export function legOf(named: string): { id: string; leg: 'forward' | 'back' } {
  return named.endsWith(BACK)
    ? { id: named.slice(0, -BACK.length), leg: 'back' }
    : { id: named, leg: 'forward' };
}

/** Notes how far a charger is: what it says of its assignment, and what the image that it runs says. */
export async function takeProgress(
  trx: Transaction<Database>,
  visitor: Visitor,
  report: AssignmentReport | undefined,
  batch: Batch,
  limits: Limits,
): Promise<void> {
  for (const held of visitor.assignments) {
    if (
      report !== undefined &&
      legOf(report.assignment).id === held.id &&
      runsWhatItClaims(visitor, held, report, batch) &&
      (await mayGoOn(visitor, held, report, batch, limits))
    ) {
      await apply(trx, visitor, held, progressEvent(report), batch);
    }
    if (batch.stragglers.has(held.id)) await apply(trx, visitor, held, { kind: 'found' }, batch);
    else if (runsRelease(visitor, held, batch)) {
      const deadlineAt = batch.now + deadlineOf(held, batch);
      await apply(trx, visitor, held, { kind: 'runs', deadlineAt }, batch);
    }
  }
}

/** Written is not healthy, and said is not running: who claims health must report the very image that it is to run. Design §4 */
function runsWhatItClaims(visitor: Visitor, held: Held, report: AssignmentReport, batch: Batch): boolean {
  if (report.progress !== 'HEALTHY') return true;
  const release = batch.rollouts.get(held.rollout)?.rollout.release.sha256;
  const wanted = legOf(report.assignment).leg === 'back' ? held.fallback?.sha256 : release;
  return wanted !== undefined && visitor.running.sha256 === wanted;
}

/**
 * A charger that was given up as `LOST` gave its place within the limits away. Before it boots anything, it goes on only when there
 * is room again; what it boots already is a fact.
 */
async function mayGoOn(
  visitor: Visitor,
  held: Held,
  { assignment, progress }: AssignmentReport,
  batch: Batch,
  limits: Limits,
): Promise<boolean> {
  const watched = batch.rollouts.get(held.rollout);
  if (held.state !== 'LOST' || watched === undefined || legOf(assignment).leg === 'back') return true;
  if (!DROPPABLE.has(progress)) return true;
  return !isOver(watched.rollout, batch.now) && limits.hasRoom(visitor.site, watched);
}

/** ms that a charger of its rollout has from its offer to health. */
function deadlineOf(held: Held, { rollouts }: Batch): number {
  return (rollouts.get(held.rollout)?.rollout.plan.deadlineHours ?? 0) * HOUR;
}

/** Completed, and not watched any more: who took part so far stays as it is, and nobody follows. */
export function isOver(rollout: Rollout, now: number): boolean {
  return rollout.status === 'COMPLETED' && !isWatched(rollout, now);
}

function progressEvent({ assignment, progress, code, detail }: AssignmentReport): AssignmentEvent {
  return {
    kind: 'progress',
    leg: legOf(assignment).leg,
    progress,
    ...(code === undefined ? {} : { code }),
    ...(detail === undefined ? {} : { detail }),
  };
}

/** A charger that runs the release took it, whatever it says: else no rollback would reach it. */
function runsRelease(visitor: Visitor, held: Held, batch: Batch): boolean {
  const release = batch.rollouts.get(held.rollout)?.rollout.release.sha256;
  // One that ran it before it was drawn did not take it from this rollout.
  return release !== undefined && visitor.running.sha256 === release && held.fromSha256 !== release;
}

/**
 * Lets the core decide, and writes what it decided.
 * @returns whether the assignment is as decided now; false when the event is refused or somebody else moved it first.
 */
export async function apply(
  trx: Transaction<Database>,
  visitor: Pick<Visitor, 'serial'>,
  held: Held,
  event: AssignmentEvent,
  batch: Pick<Batch, 'organisation' | 'now' | 'changed'>,
): Promise<boolean> {
  const decision = decideAssignment(held, event, batch.now);
  if (!decision.ok) return false;
  if (!decision.changed) return true;
  const { organisation, now } = batch;
  const { assignment } = decision;
  const key = { organisation, rollout: held.rollout, serial: visitor.serial };
  // Its place within the limits is held for as long as it is on its way back, and asked for again the next time.
  const stays = held.state === 'ROLLING_BACK' && assignment.state === 'ROLLING_BACK';
  const backOfferedAt = stays ? held.backOfferedAt : null;
  const fields = { ...fieldsOf(assignment), back_offered_at: dateOf(backOfferedAt) };
  const move = { from: held.state, to: assignment.state, at: new Date(now), fields };
  if (!(await moveAssignment(trx, key, move))) return false;
  Object.assign(held, assignment, { backOfferedAt });
  batch.changed.add(held.rollout);
  return true;
}

function fieldsOf(assignment: Assignment): AssignmentFields {
  return {
    offered_at: dateOf(assignment.offeredAt),
    activated_at: dateOf(assignment.activatedAt),
    deadline_at: dateOf(assignment.deadlineAt),
    code: assignment.code,
    detail: assignment.detail,
  };
}

function dateOf(ms: number | null): Date | null {
  return ms === null ? null : new Date(ms);
}
