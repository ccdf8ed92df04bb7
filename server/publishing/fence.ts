/**
 * One writer to a store. The database says what `timestamp.json` is, and what it was before; a store that holds anything else has been
 * written by a service with another database: a restored backup beside the original, two halves of a split. Then this one stops.
 */
import type { Transaction } from 'kysely';
import { BlobError, settleTimestamp, TIMESTAMP_KEY } from '@tidegate/signer/repository';
import { type Database, inTransaction, type Row } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import { findBlob, loadRow, lockRepository, sha256Of } from './current.ts';
import type { PublishingDeps } from './types.ts';

type Recorded = Pick<Row<'repository'>, 'timestamp_json' | 'previous_timestamp_sha256'>;

/**
 * Makes `timestamp.json` in the store what the database says. The first thing under the lock, so that at most one version is ever owed.
 * @returns the tag that the next timestamp takes the place of; null before the first.
 * @throws ApiError `REPOSITORY_FENCED`
 */
export async function settle(
  { blobs }: Pick<PublishingDeps, 'blobs'>,
  row: Recorded | undefined,
): Promise<string | null> {
  try {
    return await settleTimestamp(blobs, row === undefined ? null : knownOf(row));
  } catch (cause) {
    if (cause instanceof BlobError && cause.code === 'BLOB_CHANGED') throw fenced(cause);
    throw cause;
  }
}

/**
 * Once more before the commit, because images may have been on their way for minutes: a publication that cannot become current is better
 * refused than recorded.
 * @throws ApiError `REPOSITORY_FENCED`
 */
export async function requireSettled(
  { blobs }: Pick<PublishingDeps, 'blobs'>,
  tag: string | null,
): Promise<void> {
  const stat = await blobs.stat(TIMESTAMP_KEY);
  if ((stat?.etag ?? null) !== tag) throw fenced(undefined);
}

/**
 * The last write of everything that changes the timestamp. Idempotent.
 * @throws ApiError `REPOSITORY_FENCED`
 */
export function mirrorTimestamp(deps: Pick<PublishingDeps, 'db' | 'blobs' | 'organisation'>): Promise<void> {
  return inTransaction(deps.db, async (trx: Transaction<Database>) => {
    // Under the lock, so that what another replica commits meanwhile is not taken for a stranger's.
    await lockRepository(trx, deps.organisation);
    const row = await loadRow(trx, deps.organisation);
    if (row !== undefined) await settle(deps, row);
  });
}

/** Whether another service has written into the store. Reads only, and waits for nobody. */
export async function isFenced(
  deps: Pick<PublishingDeps, 'db' | 'blobs' | 'organisation'>,
): Promise<boolean> {
  for (;;) {
    const row = await readRow(deps);
    const stored = await findBlob(deps.blobs, TIMESTAMP_KEY);
    if (stored === undefined) return false;
    if (row !== undefined && isKnown(row, stored)) return false;
    // Two reads are no snapshot: only a row that stood still around the other read says that this is nothing of ours.
    if ((await readRow(deps))?.timestamp_json === row?.timestamp_json) return true;
  }
}

/** Whether this service has put that timestamp into the store. */
export function isKnown(row: Recorded, stored: Buffer): boolean {
  const { current, previous } = knownOf(row);
  return stored.equals(current) || sha256Of(stored) === previous;
}

function readRow({
  db,
  organisation,
}: Pick<PublishingDeps, 'db' | 'organisation'>): Promise<Recorded | undefined> {
  return db
    .selectFrom('repository')
    .select(['timestamp_json', 'previous_timestamp_sha256'])
    .where('organisation', '=', organisation)
    .executeTakeFirst();
}

function knownOf({ timestamp_json, previous_timestamp_sha256 }: Recorded) {
  return { current: Buffer.from(timestamp_json), previous: previous_timestamp_sha256 };
}

function fenced(cause: unknown): ApiError {
  return new ApiError('REPOSITORY_FENCED', `${TIMESTAMP_KEY} is not what this service has put there.`, {
    cause,
  });
}
