/**
 * TUF authoring: pure edits over plain metadata values, the order of publishing, and the store that is published into.
 *
 * - New documents: `newRoot`, `newTargets`, `newProductRole`, `newSnapshot`, `newTimestamp`, `bump`; life by `LIFETIME_DAYS`.
 * - Edits: `delegateProduct`, `addRelease(s)`, `addTarget`; reading: `productsOf`, `releasesOf`, `topLevelRole`, `productRole`.
 * - Whose the keys are: `peopleOf`, `withPeople`.
 * - Signatures: `addSignature(metadata, role, signer)`, `addSignatures`, `signatureStatus`, `checkSigned`.
 * - Storing: port `BlobStore`, adapters `fileBlobs(folder)` and `memoryBlobs()`; `publishMetadata(store, publication)`,
 *   and its parts for a writer with a record of its own: `settleTimestamp`, `putDocuments`, `putTimestamp`.
 * - The engineers' folder: `readWorkingCopy`, `writeDocument`, `writeTrustFile`, `commitDocuments`; `publicationSteps(folder, published)` says what a service lacks.
 * - What may be done to a product role: `Change`, `applyChange`; on its way to its signatures: `propose`, `checkProposal`, `parseProposal`.
 */
export * from './metadata.ts';
export { expiryOf, type Lifetime, LIFETIME_DAYS } from './lifetimes.ts';
export { REPOSITORY_ERRORS, RepositoryError, type RepositoryErrorCode } from './errors.ts';
export {
  bump,
  newProductRole,
  newRoot,
  newSnapshot,
  newTargets,
  newTimestamp,
  type Quorum,
} from './author.ts';
export { PEOPLE, peopleMember, peopleOf, withPeople } from './people.ts';
export { delegateProduct, productRole, productsOf, type Role, topLevelRole } from './products.ts';
export { addRelease, addReleases, addTarget, releasesOf, same } from './releases.ts';
export {
  addSignature,
  addSignatures,
  checkSigned,
  signatureStatus,
  type SignatureStatus,
} from './signatures.ts';
export {
  type Blob,
  type BlobBody,
  BlobError,
  type BlobErrorCode,
  type BlobStat,
  type BlobStore,
  type ByteRange,
  checkKey,
  checkRange,
  type PutOptions,
} from './blob-store.ts';
export { fileBlobs } from './file-blobs.ts';
export { memoryBlobs } from './memory-blobs.ts';
export {
  type Document,
  type Documents,
  type KnownTimestamp,
  metadataKey,
  type Publication,
  type PublishedFile,
  publishMetadata,
  putDocuments,
  putTimestamp,
  settleTimestamp,
  targetKey,
  TIMESTAMP_KEY,
} from './publish.ts';
export { publicationSteps, type PublicationStep, type PublishedVersions } from './publication-steps.ts';
export {
  commitDocuments,
  type Commit,
  listVersions,
  readWorkingCopy,
  type SignedDocument,
  type WorkingCopy,
  writeDocument,
  writeTrustFile,
} from './working-copy.ts';
export {
  type Amend,
  applyChange,
  type Change,
  type ChangeKind,
  fallingBackTo,
  listedRelease,
  versionOf,
} from './changes.ts';
export {
  type CheckedProposal,
  checkProposal,
  filesByDigest,
  nameOfProposal,
  type Proposal,
  propose,
} from './proposal.ts';
export { parseProposal } from './proposal-file.ts';
