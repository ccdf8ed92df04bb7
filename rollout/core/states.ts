import type { AssignmentState, RolloutStatus } from './types.ts';

/** Nothing moves a rollout out of these, except that a rolled-back one still sends stragglers back and a completed one can be halted. */
export const FINAL_STATUSES = [
  'COMPLETED',
  'ROLLED_BACK',
  'CANCELLED',
] as const satisfies readonly RolloutStatus[];

/** Offered and not yet settled: these count against the limits, and past their deadline they are `LOST`. */
export const IN_FLIGHT = [
  'OFFERED',
  'DOWNLOADING',
  'STAGED',
  'WAITING_WINDOW',
  'INSTALLING',
  'VERIFYING',
] as const satisfies readonly AssignmentState[];

/** Not activated yet: a halt withdraws these. */
export const OFFERABLE = [
  'PENDING',
  'OFFERED',
  'DOWNLOADING',
  'STAGED',
  'WAITING_WINDOW',
  'INSTALLING',
] as const satisfies readonly AssignmentState[];
