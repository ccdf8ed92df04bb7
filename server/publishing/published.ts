import { SIGSTORE_ROOT_TARGET } from '@tidegate/client-sdk/protocol';
import { metadataKey, targetKey } from '@tidegate/signer/repository';
import { type Row } from '../db/index.ts';
import { reviewAttestations } from './attestations.ts';
import { readBlob, readListed } from './current.ts';
import type { PublishingDeps } from './types.ts';

/**
 * Judges a published release by the policy and the Sigstore root that are published now.
 * @throws Refusal where a charger would refuse it
 */
export async function requireAccepted(
  { db, blobs, organisation }: Pick<PublishingDeps, 'db' | 'blobs' | 'organisation'>,
  release: Row<'releases'>,
): Promise<void> {
  const repository = await db
    .selectFrom('repository')
    .select(['policy', 'targets_version'])
    .where('organisation', '=', organisation)
    .executeTakeFirst();
  // Another organisation's repository is published by another service; its chargers judge by that.
  if (repository === undefined) return;
  const { policy, targets_version } = repository;
  const targets = await readBlob(blobs, metadataKey('targets', targets_version));
  const sigstoreRoot = await readListed(blobs, targets, SIGSTORE_ROOT_TARGET);
  const { product, path, sha256, length, custom } = release;
  const question = { target: { path, sha256, length, custom }, product, policy, sigstoreRoot };
  await reviewAttestations(question, (file) => readBlob(blobs, targetKey(file.path, file.sha256)));
}
