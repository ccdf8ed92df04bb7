/** The orchestrator's core: plain values in, plain values out. No I/O, no clock, no randomness. */
export * from './types.ts';
export { parsePlan, type ParsedPlan } from './plan.ts';
export type { PlanProblem, PlanProblemCode } from './fields.ts';
export { createRollout, type Created, type NewRollout } from './create.ts';
export { decide } from './decide.ts';
export { dueAt, isWatched } from './tick.ts';
export { expiringIn, firstOpeningOf, openingOf, type Opening, sentenceOfExpiring } from './opening.ts';
export { offersTo } from './offers.ts';
export { sentenceOfWaiting, waitsFor, type Waiting } from './waiting.ts';
export { allocate, cohortKey, drawOffset, RING, ringDistance, type Stratum } from './cohort.ts';
export {
  type Assignment,
  type AssignmentDecision,
  type AssignmentEvent,
  type AssignmentRefusal,
  decideAssignment,
  isSilent,
  isTreated,
  WITHDRAWN,
} from './assignment.ts';
export { FINAL_STATUSES, IN_FLIGHT, OFFERABLE } from './states.ts';
