import { IN_FLIGHT, OFFERABLE, type AssignmentState } from '@tidegate/rollout/core';

/** Offered or taken, and not yet settled: these have a deadline. */
export const TIMED: AssignmentState[] = [...IN_FLIGHT, 'ROLLING_BACK'];

/** A charger in one of these is busy with the rollout that holds it, and another may not draw it. */
export const UNDER_WAY: AssignmentState[] = [...new Set([...OFFERABLE, ...TIMED])];
