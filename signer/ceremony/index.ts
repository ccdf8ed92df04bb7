/**
 * How the documents that say who may do what are changed, by several people on several machines: pure functions over values.
 *
 * - `startCeremony(state, wish, now)`, `firstCeremony(authority, wish, now)`: what is asked for, as documents without signatures.
 * - `parseCeremony(bytes)`, `encodeCeremony(file)`: the file that is passed around.
 * - `checkCeremony(file, own, now)`: what it changes, recomputed; whose signatures are there and whose are missing.
 * - `signCeremony(checked, signer)`, `mergeCopies(file, others)`.
 * - `describeCeremony(checked)`: plain words.
 * - `finishCeremony(checked)`: what to write, once all have signed and a charger would follow.
 */
export { CEREMONY_ERRORS, CeremonyError, type CeremonyErrorCode } from './errors.ts';
export {
  type Authority,
  authorityOf,
  emptyAuthority,
  productsIn,
  type ServiceKeys,
  type TrustState,
} from './authority.ts';
export { type Change, type Holder } from './changes.ts';
export { type DenyList, directorKey, POLICY_FIELDS, type PolicyChange } from './policy-changes.ts';
export { type Difference, digits } from './differences.ts';
export {
  type CeremonyFile,
  encodeCeremony,
  MAX_CEREMONY_BYTES,
  type NextDocuments,
  parseCeremony,
} from './file.ts';
export { firstCeremony, startCeremony, type Wish } from './start.ts';
export { type CheckedCeremony, checkCeremony, fingerprint } from './check.ts';
export { stateOf } from './own-copy.ts';
export { type DocumentStatus, type SignatureFault } from './status.ts';
export { mergeCopies, signCeremony } from './sign.ts';
export { ceremonyJson, describeCeremony, roleLines } from './describe.ts';
export { finishCeremony } from './finish.ts';
