/** TUF without the rest of trust: metadata, keys, the client workflow, and files to keep state in. It loads nothing of Sigstore. */

// The bytes and the keys
export { canonicalBytes } from './canonical.ts';
export { keyIdOf, keySetHash, tufKeyOf, validSigners, verifyThreshold } from './keys.ts';
export type { RoleKeys, Signature, SignedEnvelope, TufKey } from './keys.ts';
export { TIDEGATE, TUF } from './dialect.ts';
export type { Dialect } from './dialect.ts';

// The roles
export { MAX_BYTES, parseRoot, parseSnapshot, parseTargets, parseTimestamp } from './metadata.ts';
export type {
  Parsed,
  RootMetadata,
  SnapshotMetadata,
  TargetsMetadata,
  TimestampMetadata,
  TopRole,
} from './metadata.ts';
export type {
  DelegatedRole,
  Delegation,
  Delegations,
  Digests,
  FileMeta,
  SuccinctRoles,
  TargetFile,
} from './role-parts.ts';
export { delegationOf } from './delegation.ts';

// The workflow
export { TrustedSet } from './trusted-set.ts';
export type { Mark, Marks } from './marks.ts';
export { diskFiles } from './disk-files.ts';
export type { AppendFile, Files } from './files.ts';
