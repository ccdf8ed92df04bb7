/** Everything around the pure core: the ports to the truth and to the doorbell, the worker, the sweeper. */
export type { AssignmentRow, AuditEntry, Doorbell, RolloutRef, RolloutStore } from './ports.ts';
export { chooseFallback, type PublishedImage } from './fallback.ts';
