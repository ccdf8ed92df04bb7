import type { AssignmentState } from '@tidegate/rollout/core';

/** Under way: a charger in one of these is busy with the rollout that holds it, and another may not draw it. */
export const UNDER_WAY = [
  'PENDING',
  'OFFERED',
  'DOWNLOADING',
  'STAGED',
  'WAITING_WINDOW',
  'INSTALLING',
  'VERIFYING',
  'ROLLING_BACK',
] as const satisfies readonly AssignmentState[];

/** Offered or taken, and not yet settled: these have a deadline. */
export const TIMED = UNDER_WAY.filter((state) => state !== 'PENDING');

/** Before the charger boots the release: with no activation on record, it can still be withdrawn. */
export const WITHDRAWABLE = [
  'PENDING',
  'OFFERED',
  'DOWNLOADING',
  'STAGED',
  'WAITING_WINDOW',
  'INSTALLING',
] as const satisfies readonly AssignmentState[];
