/** The ports of the rollout's shell. Neither leaks a connection; `test/contracts` runs one suite over all adapters of each. */
import type { Opening } from '../core/index.ts';
import type { AssignmentState, Life, Observation, Rollout, RolloutEffect } from '../core/types.ts';

export interface RolloutRef {
  organisation: string;
  id: string;
}

export interface AuditEntry {
  actor: string;
  action: string;
  subject: string;
  reason: string;
  source: string;
  detail: Record<string, unknown>;
}

/** The truth about rollouts. */
export interface RolloutStore {
  /** A rollout and its revision, or undefined. */
  load(ref: RolloutRef): Promise<{ rollout: Rollout; revision: number } | undefined>;
  /** Counts what `decide` needs, at cost O(steps + signals × bins). */
  observe(rollout: Rollout, now: number): Promise<Observation>;
  /**
   * Commits state, audit rows and effects in one transaction, if nobody has committed since `revision`.
   * `due` is when the sweeper looks at it again at the latest.
   */
  commit(change: {
    rollout: Rollout;
    revision: number;
    effects: RolloutEffect[];
    audit: AuditEntry[];
    due: number | null;
  }): Promise<'committed' | 'conflict'>;
  /** Rollouts that are due, oldest first. */
  due(now: number, limit: number): Promise<RolloutRef[]>;
  /** Committed effects that are not done yet, oldest first. */
  pending(ref: RolloutRef): Promise<{ id: string; effect: RolloutEffect }[]>;
  /** Rollouts that have pending effects. */
  withPending(limit: number): Promise<RolloutRef[]>;
  /** Carries one effect out and marks it done, in one transaction; doing it twice changes nothing. */
  perform(ref: RolloutRef, effectId: string, now: number): Promise<void>;
  /** Moves assignments past their deadline to `LOST`; returns how many. */
  expire(ref: RolloutRef, now: number): Promise<number>;
  /** Assignments by state, for a person to read; paged by serial number. */
  assignments(
    ref: RolloutRef,
    page: { after: string | null; limit: number; state?: AssignmentState },
  ): Promise<AssignmentRow[]>;
}

export interface AssignmentRow {
  serial: string;
  site: string;
  step: number;
  state: AssignmentState;
  code: string | null;
  detail: string | null;
  updatedAt: number;
}

/** When what a rollout depends on expires. Asked before a step opens. */
export interface Lifetimes {
  /** All that the step depends on: the roles that people sign, its ways back, certificates. */
  of(rollout: Rollout, opening: Opening): Promise<Life[]>;
}

/** For tests and simulations in which time does not matter so. */
export const NOTHING_EXPIRES: Lifetimes = { of: () => Promise.resolve([]) };

/** Wakes a worker. A lost or doubled ring changes nothing, because the worker re-reads the truth. */
export interface Doorbell {
  ring(ref: RolloutRef): Promise<void>;
  /** Calls `answer` for each ring, one at a time per rollout at most across all workers that matter; errors are logged and rung again. */
  listen(answer: (ref: RolloutRef) => Promise<void>): Promise<void>;
  close(): Promise<void>;
}
