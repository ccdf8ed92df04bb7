/** The files of a publication on their way into the store. */
import { POLICY_TARGET, SIGSTORE_ROOT_TARGET } from '@tidegate/client-sdk/protocol';
import { BlobError, type PublishedFile, putDocuments } from '@tidegate/signer/repository';
import { ApiError } from '../http/index.ts';
import type { Candidate } from './candidate.ts';
import { type Current, sha256Of } from './current.ts';
import type { ReleaseChanges } from './releases.ts';
import { readStaged } from './staging.ts';
import type { PublishingDeps } from './types.ts';

/**
 * Stores everything that the candidate's timestamp leads to and the store has not.
 * @throws ApiError `UPLOAD_MISMATCH`, `CONFLICT`
 */
export async function storeDocuments(
  deps: PublishingDeps,
  current: Current | undefined,
  candidate: Candidate,
  changes: ReleaseChanges,
): Promise<void> {
  const { documents, versions, roots, snapshot, newRoles } = candidate;
  const targets = { version: versions.targets, bytes: documents.targets };
  await putDocuments(deps.blobs, {
    files: [...trustFiles(current, candidate), ...changes.promote.map((file) => staged(deps, file))],
    products: newRoles,
    ...(documents.targets === current?.documents.targets ? {} : { targets }),
    snapshot,
    roots,
  }).catch(explain);
}

function trustFiles(current: Current | undefined, { documents }: Candidate): PublishedFile[] {
  const files = [
    [POLICY_TARGET, documents.policy, current?.documents.policy],
    [SIGSTORE_ROOT_TARGET, documents.sigstoreRoot, current?.documents.sigstoreRoot],
  ] as const;
  return files
    .filter(([, bytes, before]) => bytes !== before)
    .map(([path, bytes]) => ({ path, sha256: sha256Of(bytes), length: bytes.length, open: () => bytes }));
}

/** Hashed once more on its way: what is stored is what was verified, whatever happened to the staging folder. */
function staged(deps: PublishingDeps, file: ReleaseChanges['promote'][number]): PublishedFile {
  return { ...file, open: () => readStaged(deps, file.sha256) };
}

function explain(cause: unknown): never {
  const code = cause instanceof BlobError ? cause.code : undefined;
  // Staging was meddled with: whoever uploads again gets the right bytes in.
  if (code === 'BLOB_DIGEST' || code === 'BLOB_LENGTH') {
    throw new ApiError('UPLOAD_MISMATCH', 'An upload has changed since it was received.', { cause });
  }
  // Whoever it was wrote since the names were looked at; if they got further than that, the next attempt finds a fence.
  if (code === 'BLOB_EXISTS') throw new ApiError('CONFLICT', (cause as BlobError).message, { cause });
  throw cause;
}
