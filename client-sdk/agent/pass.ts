import type { AssignmentProgress, DirectiveAction, Refusal } from '../protocol/index.ts';

/** What one pass came to. */
export interface Pass {
  /** What the service said; undefined when it could not be reached or believed. */
  action: DirectiveAction | undefined;
  /** Seconds of the fleet's time until the service wants to be asked again; undefined without an answer. */
  pollAfter: number | undefined;
  /** The service has not yet heard of something that this pass changed. */
  news: boolean;
  job: { assignment: string; progress: AssignmentProgress; code: string | null } | undefined;
  /** Everything that was refused, first to last. */
  refusals: Refusal[];
}
