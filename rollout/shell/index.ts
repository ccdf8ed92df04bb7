/** Everything around the pure core: the ports to the truth and to the doorbell, the worker, the sweeper. */
export type { AssignmentRow, AuditEntry, Doorbell, Lifetimes, RolloutRef, RolloutStore } from './ports.ts';
export { NOTHING_EXPIRES } from './ports.ts';
export { chooseFallback, type PublishedImage } from './fallback.ts';
export {
  ALREADY_ON_RELEASE,
  NO_FALLBACK,
  NO_FALLBACK_DETAIL,
  SILENT,
  SILENT_IN_ROLLBACK,
  SUPERSEDED,
  SUPERSEDED_DETAIL,
} from './codes.ts';
export { SILENT_LOG, type Log } from './log.ts';
export { nextLook, SYSTEM, work, type WorkDeps } from './work.ts';
export { act, type Acted, type PersonEvent } from './act.ts';
export { sweep } from './sweep.ts';
export { postgresDoorbell, redisDoorbell, type QueueDoorbell } from './bullmq.ts';
export { memoryDoorbell } from './memory-doorbell.ts';
export type { MemoryCharger } from './memory-draw.ts';
export { MemoryRolloutStore, type MemoryAssignment } from './memory-store.ts';
