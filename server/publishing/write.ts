/** The writes of a publication, in the order in which a reader may meet them: what is referred to before what refers to it. */
import { sql, type Transaction } from 'kysely';
import { POLICY_TARGET, type ReleaseTarget, SIGSTORE_ROOT_TARGET } from '@tidegate/client-sdk/protocol';
import type { Database, NewRow } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import { BlobError, metadataKey, targetKey, TIMESTAMP_KEY } from '@tidegate/signer/repository';
import type { Candidate } from './candidate.ts';
import { collect, sha256Of } from './current.ts';
import type { ReleaseChanges } from './releases.ts';
import { readStaged } from './staging.ts';
import type { Publisher, PublishingDeps } from './types.ts';

/** Images first, then roles, then the snapshot. TUF 5 and 6.2: a reader of the old timestamp finds every old file untouched. */
export async function storeDocuments(
  deps: PublishingDeps,
  candidate: Candidate,
  changes: ReleaseChanges,
): Promise<void> {
  for (const { key, sha256, length } of changes.promote) {
    // Two releases may share a side file.
    if ((await deps.blobs.stat(key)) !== undefined) continue;
    // Hashed once more on its way: what is stored is what was verified, whatever happened to the staging folder.
    await deps.blobs.put(key, readStaged(deps, sha256), { expect: { sha256, length } }).catch(mismatch);
  }
  const { documents, versions, roots, snapshot } = candidate;
  await putTrustFile(deps, POLICY_TARGET, documents.policy);
  await putTrustFile(deps, SIGSTORE_ROOT_TARGET, documents.sigstoreRoot);
  for (const product of candidate.changedRoles) {
    const bytes = documents.roles.get(product);
    if (bytes !== undefined) await putMetadata(deps, product, versions.roles[product] ?? 0, bytes);
  }
  await putMetadata(deps, 'targets', versions.targets, documents.targets);
  await putMetadata(deps, 'snapshot', snapshot.version, snapshot.bytes);
  // Last, because clients look for the next root by its name before they read anything else.
  for (const root of roots) await putMetadata(deps, 'root', root.version, root.bytes);
}

/** Staging was meddled with: whoever uploads again gets the right bytes in. */
function mismatch(cause: unknown): never {
  const altered =
    cause instanceof BlobError && (cause.code === 'BLOB_DIGEST' || cause.code === 'BLOB_LENGTH');
  if (altered)
    throw new ApiError('UPLOAD_MISMATCH', 'An upload has changed since it was received.', { cause });
  throw cause;
}

/**
 * A root is found by its name alone, so one that a crash left behind may have been trusted already: no other takes its place.
 * @throws ApiError `ROLE_VERSION`
 */
export async function requireRootsUnseen(deps: PublishingDeps, { roots }: Candidate): Promise<void> {
  for (const { version, bytes } of roots) {
    const key = metadataKey('root', version);
    const stored = await deps.blobs.get(key);
    if (stored === undefined || (await collect(stored.body, key)).equals(bytes)) continue;
    throw new ApiError('ROLE_VERSION', `Root ${version} was seen with other content.`, { pointer: '/roots' });
  }
}

async function putTrustFile(deps: PublishingDeps, path: string, bytes: Buffer): Promise<void> {
  const key = targetKey(path, sha256Of(bytes));
  if ((await deps.blobs.stat(key)) === undefined) await deps.blobs.put(key, bytes);
}

/** A file of this name that a crash left behind was never referred to, so it may be replaced. */
async function putMetadata(
  deps: PublishingDeps,
  role: string,
  version: number,
  bytes: Buffer,
): Promise<void> {
  await deps.blobs.put(metadataKey(role, version), bytes, { replace: 'any' });
}

export async function recordPublication(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  publication: { candidate: Candidate; changes: ReleaseChanges; publisher: Publisher; at: Date },
): Promise<void> {
  const { candidate, changes, publisher, at } = publication;
  const { organisation } = deps;
  await trx
    .insertInto('organisations')
    .values({ id: organisation, name: organisation, created_at: at })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  for (const product of candidate.documents.roles.keys()) {
    await trx
      .insertInto('products')
      .values({ organisation, id: product, hardware: hardwareOf(candidate, product), created_at: at })
      .onConflict((conflict) =>
        conflict.columns(['organisation', 'id']).doUpdateSet({ hardware: sql`excluded.hardware` }),
      )
      .execute();
  }
  for (const { product, target } of changes.added) {
    const released: NewRow<'releases'> = {
      organisation,
      product,
      ...releaseColumns(target),
      role_version: candidate.versions.roles[product] ?? 0,
      published_by: publisher.name,
      published_at: at,
    };
    await trx.insertInto('releases').values(released).execute();
  }
  for (const { target } of changes.changed) {
    await trx
      .updateTable('releases')
      .set({ custom: JSON.stringify(target.custom), yanked_at: null })
      .where('organisation', '=', organisation)
      .where('path', '=', target.path)
      .execute();
  }
  for (const { path } of changes.yanked) {
    await trx
      .updateTable('releases')
      .set({ yanked_at: at })
      .where('organisation', '=', organisation)
      .where('path', '=', path)
      .execute();
  }
  await recordRepository(deps, trx, candidate, at);
}

/** Every hardware that a listed release fits. */
function hardwareOf(candidate: Candidate, product: string): string[] {
  const { targets } = candidate.set.productRole(product);
  const all = [...targets.keys()].flatMap(
    (path) => candidate.set.productTarget(product, path).custom.hardware,
  );
  return [...new Set(all)].sort();
}

function releaseColumns(
  target: ReleaseTarget,
): Pick<NewRow<'releases'>, 'version' | 'path' | 'sha256' | 'length' | 'security_version' | 'custom'> {
  const { path, sha256, length, custom } = target;
  return {
    version: custom.version,
    path,
    sha256,
    length,
    security_version: custom.securityVersion,
    custom: JSON.stringify(custom),
  };
}

async function recordRepository(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  candidate: Candidate,
  at: Date,
): Promise<void> {
  const columns = {
    root_version: candidate.versions.root,
    targets_version: candidate.versions.targets,
    snapshot_version: candidate.snapshot.version,
    timestamp_version: candidate.timestamp.version,
    timestamp_json: candidate.timestamp.bytes.toString('utf8'),
    timestamp_expires_at: new Date(candidate.timestamp.expires),
    policy: JSON.stringify(candidate.policy),
    roles: JSON.stringify(candidate.versions.roles),
    updated_at: at,
  };
  await trx
    .insertInto('repository')
    .values({ organisation: deps.organisation, ...columns })
    .onConflict((conflict) => conflict.column('organisation').doUpdateSet(columns))
    .execute();
}

/** Makes `timestamp.json` in the store what the database says. Idempotent, and the last write of everything that changes the timestamp. */
export async function mirrorTimestamp(deps: PublishingDeps): Promise<void> {
  const key = TIMESTAMP_KEY;
  const row = await deps.db
    .selectFrom('repository')
    .select('timestamp_json')
    .where('organisation', '=', deps.organisation)
    .executeTakeFirst();
  if (row === undefined) return;
  const stored = await deps.blobs.get(key);
  if (stored !== undefined && (await collect(stored.body, key)).toString('utf8') === row.timestamp_json)
    return;
  await deps.blobs.put(key, Buffer.from(row.timestamp_json), { replace: 'any' });
}
