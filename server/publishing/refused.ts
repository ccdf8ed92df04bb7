/** What rollouts that were begun before a publication still bring, or may send back to, is judged by the trust that is published now. */
import { type Transaction, sql } from 'kysely';
import { Refusal } from '@tidegate/client-sdk/protocol';
import { targetKey } from '@tidegate/signer/repository';
import type { Database, Row } from '../db/index.ts';
import { reviewAttestations } from './attestations.ts';
import type { Candidate } from './candidate.ts';
import { type Current, readBlob } from './current.ts';
import type { ReleaseChanges } from './releases.ts';
import type { PublishingDeps } from './types.ts';

/**
 * Marks them with the code with which chargers refuse them from now on, or takes the mark away. What it finds is committed with the
 * publication, so that no check-in after it offers what it refuses.
 */
export async function markRefused(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  { current, candidate, changes }: { current: Current; candidate: Candidate; changes: ReleaseChanges },
): Promise<void> {
  const { policy, sigstoreRoot } = current.documents;
  const sameTrust =
    candidate.documents.policy === policy && candidate.documents.sigstoreRoot === sigstoreRoot;
  if (sameTrust && changes.verified.size === 0) return;
  for (const release of await releasesOnTheirWay(trx, deps.organisation)) {
    const refused = await refusalOf(deps, candidate, release);
    if (refused === release.refused) continue;
    await trx
      .updateTable('releases')
      .set({ refused })
      .where('organisation', '=', deps.organisation)
      .where('path', '=', release.path)
      .execute();
  }
}

/** Of every rollout that may still send a charger somewhere; their fallbacks; and what was marked before. */
async function releasesOnTheirWay(
  trx: Transaction<Database>,
  organisation: string,
): Promise<Row<'releases'>[]> {
  const { rows } = await sql<Row<'releases'>>`
    with brought as (
      select r.path, r.custom from releases r
      where r.organisation = ${organisation} and exists (
        select from rollouts o where o.organisation = r.organisation and o.product = r.product and o.version = r.version
          and o.status <> 'CANCELLED' and (o.status <> 'COMPLETED' or o.due_at is not null)))
    select r.* from releases r
    where r.organisation = ${organisation} and (
      r.refused is not null
      or r.path in (select path from brought)
      or r.path in (select way ->> 'path' from brought, jsonb_array_elements(brought.custom -> 'fallback') way))`.execute(
    trx,
  );
  return rows;
}

async function refusalOf(
  { blobs }: Pick<PublishingDeps, 'blobs'>,
  { policy, documents: { sigstoreRoot } }: Candidate,
  { product, path, sha256, length, custom }: Row<'releases'>,
): Promise<string | null> {
  const target = { path, sha256, length, custom };
  try {
    await reviewAttestations({ target, product, policy, sigstoreRoot }, (file) =>
      readBlob(blobs, targetKey(file.path, file.sha256)),
    );
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}
