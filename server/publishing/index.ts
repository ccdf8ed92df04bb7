/**
 * Releases in, TUF out. Everything is verified with the charger's own code before a byte of it is stored; the
 * service holds the online keys only.
 */
export { bootstrapRepository } from './bootstrap.ts';
export { refreshOnline } from './refresh.ts';
export { Refresher, type RefreshFailure } from './refresher.ts';
export {
  type Ahead,
  aheadOf,
  believedVersion,
  type Claim,
  isBehind,
  isPlausible,
  ONLINE_ROLES,
  publishedVersion,
} from './standing.ts';
export { countWitnesses, loadAhead, loadClaims, sweepClaims } from './claims.ts';
export { loadVersions, type PublishedVersions, VERSION_COLUMNS, versionsIn } from './published-versions.ts';
export { receiveUpload, sweepStaging, type Upload } from './staging.ts';
export { publish } from './publish.ts';
export { requireAccepted } from './published.ts';
export type { Publication, Published, Publisher, PublishingDeps, UploadLimits } from './types.ts';
export { roleExpiries, type RoleExpiry } from './expiry.ts';
export { isFenced } from './fence.ts';
export { findTakeOver, type TakeOver, takeOver } from './take-over.ts';
export type { Stranded, StrandedChargers, StrandedRelease } from './stranded.ts';
export { collectGarbage, findCollectable } from './collect.ts';
export { type Collectable, KEEP_DAYS } from './collect-rule.ts';
