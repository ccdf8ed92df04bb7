import type { AssignmentProgress } from '@tidegate/client-sdk/protocol';
import { IN_FLIGHT, OFFERABLE } from './states.ts';
import type { AssignmentState } from './types.ts';

export interface Assignment {
  state: AssignmentState;
  offeredAt: number | null;
  /** From here on the charger is treated. Never cleared. */
  activatedAt: number | null;
  deadlineAt: number | null;
  /** Refusal or failure, or why it has no way back. */
  code: string | null;
  detail: string | null;
}

/** Why a halt skipped it. A step that opens again wants these again, and no others that were skipped. */
export const WITHDRAWN = { code: 'WITHDRAWN', detail: 'The rollout was stopped before it took the release.' };

/**
 * - `redraw`: its step opens again after a halt; what the halt withdrew is wanted again.
 * - `offered`: an install directive was sent; sent again, it changes nothing.
 * - `activated`: the service gave its live confirmation. Whatever happens now, the charger counts as treated.
 * - `runs`: it reports the release as what it booted, with or without a confirmation. Where nothing else limits the time in which it is to
 *   prove its health, `deadlineAt` does: else it would hold its place within the limits for ever.
 * - `progress`: the charger reports; `leg` is `back` for `<assignment id>.back`.
 * - `deadline`: looked at after its deadline.
 * - `withdraw`: the rollout was halted; whatever was not activated never will be.
 * - `skip`: it is not wanted any more (retired, replaced, already on the release, or wanted by a later rollout).
 * - `found`: it reports the release as what it runs, although the rollout was rolled back and it was thought to be off it: never on it,
 *   withdrawn, failed, or back already. It is treated again, so that the rollback reaches it.
 * - `rollBack`: it is to take its signed fallback, before `deadlineAt`.
 * - `noFallback`: it has none; it stays where it is, and `code` lists why.
 */
export type AssignmentEvent =
  | { kind: 'redraw' }
  | { kind: 'offered'; deadlineAt: number }
  | { kind: 'activated' }
  | { kind: 'runs'; deadlineAt: number }
  | {
      kind: 'progress';
      leg: 'forward' | 'back';
      progress: AssignmentProgress;
      code?: string;
      detail?: string;
    }
  | { kind: 'deadline' }
  | { kind: 'withdraw' }
  | { kind: 'skip'; code: string; detail: string }
  | { kind: 'found' }
  | { kind: 'rollBack'; deadlineAt: number }
  | { kind: 'noFallback'; code: string; detail: string };

/**
 * Why an event changes nothing: a value, not an exception.
 * - `STALE`: an earlier report, or a doubled one; the charger is further on.
 * - `FINISHED`: nothing is wanted of this charger any more.
 * - `WITHDRAWN`: it was skipped before activation; the charger is told so.
 * - `NOT_TREATED`: it never took the release, so there is nothing to go back from.
 * - `NOT_DUE`: its deadline has not passed, or it has none.
 * - `ACTIVATED`: it has taken the release already; only a rollback helps.
 */
export type AssignmentRefusal = 'STALE' | 'FINISHED' | 'WITHDRAWN' | 'NOT_TREATED' | 'NOT_DUE' | 'ACTIVATED';

export type AssignmentDecision =
  { ok: true; assignment: Assignment; changed: boolean } | { ok: false; code: AssignmentRefusal };

/** Forward order. A report moves a charger up in it, never down. */
const FORWARD: readonly AssignmentState[] = ['PENDING', ...IN_FLIGHT, 'HEALTHY'];

/** The state machine of one charger in one step, monotone: stale and doubled reports change nothing. */
export function decideAssignment(
  assignment: Assignment,
  event: AssignmentEvent,
  now: number,
): AssignmentDecision {
  switch (event.kind) {
    case 'redraw':
      return redraw(assignment);
    case 'offered':
      return offered(assignment, event.deadlineAt, now);
    case 'activated':
      return forward(assignment, 'VERIFYING', now);
    case 'runs':
      return runs(assignment, event.deadlineAt, now);
    case 'progress':
      return event.leg === 'forward' ? reported(assignment, event, now) : reportedBack(assignment, event);
    case 'deadline':
      return deadline(assignment, now);
    case 'withdraw':
      // The silent that never activated are withdrawn too, so that who is `LOST` in a rollback is on the release.
      return isOfferable(assignment) || isSilent(assignment)
        ? next(assignment, { state: 'SKIPPED', deadlineAt: null, ...WITHDRAWN })
        : settled(assignment);
    case 'skip':
      return isOfferable(assignment) || isSilent(assignment)
        ? next(assignment, { state: 'SKIPPED', deadlineAt: null, code: event.code, detail: event.detail })
        : settled(assignment);
    case 'found':
      return found(assignment, now);
    case 'rollBack':
      return rollBack(assignment, event.deadlineAt, now);
    case 'noFallback':
      if (!isTreated(assignment)) return { ok: false, code: 'NOT_TREATED' };
      return next(assignment, { code: event.code, detail: event.detail });
  }
}

/** Whether the charger may run the release now: it was activated and has not come back. */
export function isTreated(assignment: Assignment): boolean {
  const { state, activatedAt } = assignment;
  return state === 'VERIFYING' || state === 'HEALTHY' || (state === 'LOST' && activatedAt !== null);
}

/** Not what was skipped for a reason of its own, which its code says. */
function redraw(assignment: Assignment): AssignmentDecision {
  const withdrawn = assignment.state === 'SKIPPED' && assignment.code === WITHDRAWN.code;
  if (!withdrawn) return settled(assignment);
  return next(assignment, { state: 'PENDING', offeredAt: null, code: null, detail: null });
}

function offered(assignment: Assignment, deadlineAt: number, now: number): AssignmentDecision {
  if (assignment.state === 'PENDING' || isSilent(assignment)) {
    return next(assignment, { state: 'OFFERED', offeredAt: now, deadlineAt, code: null, detail: null });
  }
  return isInFlight(assignment) ? same(assignment) : settled(assignment);
}

function reported(
  assignment: Assignment,
  event: AssignmentEvent & { kind: 'progress' },
  now: number,
): AssignmentDecision {
  const { progress } = event;
  if (progress === 'FAILED' || progress === 'ROLLED_BACK') return fellBack(assignment, event);
  return forward(assignment, progress, now);
}

/** The charger refused, or left a trial boot by itself: it runs its earlier image. */
function fellBack(assignment: Assignment, event: AssignmentEvent & { kind: 'progress' }): AssignmentDecision {
  const why = { code: event.code ?? 'UNKNOWN', detail: event.detail ?? null, deadlineAt: null };
  switch (assignment.state) {
    case 'FAILED':
      return same(assignment);
    case 'ROLLING_BACK':
      // It was quicker than the order to go back.
      return event.progress === 'ROLLED_BACK' ? next(assignment, { ...why, state: 'ROLLED_BACK' }) : stale();
    case 'HEALTHY':
      // A committed image can still be left behind, but a late `FAILED` is only a late report.
      return event.progress === 'ROLLED_BACK' ? next(assignment, { ...why, state: 'FAILED' }) : stale();
    case 'SKIPPED':
    case 'ROLLED_BACK':
      return settled(assignment);
    default:
      return next(assignment, { ...why, state: 'FAILED' });
  }
}

function forward(assignment: Assignment, state: AssignmentState, now: number): AssignmentDecision {
  const takesRelease = state === 'VERIFYING' || state === 'HEALTHY';
  const activatedAt = assignment.activatedAt ?? (takesRelease ? now : null);
  const done = state === 'HEALTHY' ? null : assignment.deadlineAt;
  switch (assignment.state) {
    case 'ROLLING_BACK':
      return stale();
    case 'ROLLED_BACK':
      return settled(assignment);
    case 'FAILED':
    case 'SKIPPED':
      // What runs the release runs it, whatever was thought of it: else no rollback would reach it.
      if (!takesRelease) return settled(assignment);
      return next(assignment, { state, activatedAt, deadlineAt: done, code: null, detail: null });
    case 'LOST':
      return next(assignment, {
        state,
        activatedAt,
        deadlineAt: state === 'HEALTHY' ? null : again(assignment, now),
        code: null,
        detail: null,
      });
    default:
      if (FORWARD.indexOf(state) < FORWARD.indexOf(assignment.state)) return stale();
      return state === assignment.state
        ? same(assignment)
        : next(assignment, { state, activatedAt, deadlineAt: done });
  }
}

function runs(assignment: Assignment, deadlineAt: number, now: number): AssignmentDecision {
  // A trial is long over by its deadline: what still runs the release then has kept it, though it may have forgotten for whom.
  const kept = assignment.state === 'LOST' && assignment.activatedAt !== null;
  const decision = forward(assignment, kept ? 'HEALTHY' : 'VERIFYING', now);
  if (!decision.ok || decision.assignment.state !== 'VERIFYING') return decision;
  return decision.assignment.deadlineAt === null
    ? next(assignment, { ...decision.assignment, deadlineAt })
    : decision;
}

function found(assignment: Assignment, now: number): AssignmentDecision {
  const { state } = assignment;
  if (state !== 'FAILED' && state !== 'SKIPPED' && state !== 'ROLLED_BACK') return stale();
  const activatedAt = assignment.activatedAt ?? now;
  // It serves its customers on the release, and is not out for an update: it takes no place within the limits until it goes back.
  return next(assignment, { state: 'HEALTHY', activatedAt, deadlineAt: null, code: null, detail: null });
}

/** On the way back only the end counts; a failure is noted and tried again until the deadline. */
function reportedBack(
  assignment: Assignment,
  event: AssignmentEvent & { kind: 'progress' },
): AssignmentDecision {
  const { state } = assignment;
  if (state === 'ROLLED_BACK') return event.progress === 'HEALTHY' ? same(assignment) : stale();
  if (state !== 'ROLLING_BACK' && state !== 'LOST') return settled(assignment);
  switch (event.progress) {
    case 'HEALTHY':
      return next(assignment, { state: 'ROLLED_BACK', deadlineAt: null, code: null, detail: null });
    case 'FAILED':
    case 'ROLLED_BACK':
      return next(assignment, { code: event.code ?? 'UNKNOWN', detail: event.detail ?? null });
    default:
      return state === 'LOST' ? next(assignment, { state: 'ROLLING_BACK' }) : same(assignment);
  }
}

function deadline(assignment: Assignment, now: number): AssignmentDecision {
  const waits = isInFlight(assignment) || assignment.state === 'ROLLING_BACK';
  if (!waits || assignment.deadlineAt === null || now < assignment.deadlineAt) {
    return { ok: false, code: 'NOT_DUE' };
  }
  const code = assignment.code ?? (assignment.state === 'ROLLING_BACK' ? 'SILENT_IN_ROLLBACK' : 'SILENT');
  const detail = assignment.detail ?? `No word from it in state ${assignment.state} before its deadline.`;
  return next(assignment, { state: 'LOST', code, detail });
}

function rollBack(assignment: Assignment, deadlineAt: number, now: number): AssignmentDecision {
  if (assignment.state === 'ROLLING_BACK') return same(assignment);
  if (!isTreated(assignment))
    return assignment.state === 'ROLLED_BACK' ? settled(assignment) : { ok: false, code: 'NOT_TREATED' };
  return next(assignment, { state: 'ROLLING_BACK', offeredAt: now, deadlineAt, code: null, detail: null });
}

/** A charger that turns up again gets as long as it had. */
function again(assignment: Assignment, now: number): number | null {
  const { offeredAt, deadlineAt } = assignment;
  return offeredAt === null || deadlineAt === null ? null : now + (deadlineAt - offeredAt);
}

function isInFlight(assignment: Assignment): boolean {
  return (IN_FLIGHT as readonly AssignmentState[]).includes(assignment.state);
}

/** Silent past its deadline, and never activated. */
export function isSilent(assignment: Assignment): boolean {
  return assignment.state === 'LOST' && assignment.activatedAt === null;
}

function isOfferable(assignment: Assignment): boolean {
  return (OFFERABLE as readonly AssignmentState[]).includes(assignment.state);
}

function next(assignment: Assignment, change: Partial<Assignment>): AssignmentDecision {
  const result = { ...assignment, ...change };
  const changed = (Object.keys(change) as (keyof Assignment)[]).some(
    (key) => result[key] !== assignment[key],
  );
  return { ok: true, assignment: result, changed };
}

function same(assignment: Assignment): AssignmentDecision {
  return { ok: true, assignment, changed: false };
}

function stale(): AssignmentDecision {
  return { ok: false, code: 'STALE' };
}

function settled(assignment: Assignment): AssignmentDecision {
  if (assignment.state === 'SKIPPED') return { ok: false, code: 'WITHDRAWN' };
  return { ok: false, code: isTreated(assignment) ? 'ACTIVATED' : 'FINISHED' };
}
