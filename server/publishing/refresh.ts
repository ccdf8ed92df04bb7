import type { Transaction } from 'kysely';
import { LIFETIME_DAYS, metadataKey } from '@tidegate/signer/repository';
import { type Database, inTransaction } from '../db/index.ts';
import { loadRow, lockRepository, readBlob } from './current.ts';
import { makeTimestamp, nextOnlineVersion, type OnlineDocument, renewSnapshot } from './online.ts';
import type { PublishingDeps } from './types.ts';
import { mirrorTimestamp } from './write.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Signs snapshot and timestamp again, each from half its life on, so that a service which stands still for half a day harms nobody.
 * Also finishes what a crash kept from reaching `timestamp.json`. Call it at every start and every few minutes.
 *
 * @returns whether anything was signed.
 */
export async function refreshOnline(deps: PublishingDeps): Promise<boolean> {
  const refreshed = await inTransaction(deps.db, (trx) => refreshLocked(deps, trx));
  await mirrorTimestamp(deps);
  return refreshed;
}

async function refreshLocked(deps: PublishingDeps, trx: Transaction<Database>): Promise<boolean> {
  await lockRepository(trx, deps.organisation);
  const now = deps.clock.now();
  const row = await loadRow(trx, deps.organisation);
  if (row === undefined) return false;
  const bytes = await readBlob(deps.blobs, metadataKey('snapshot', row.snapshot_version));
  let snapshot = { version: row.snapshot_version, bytes };
  const snapshotDue = isDue('snapshot', expiryIn(bytes), now);
  if (!snapshotDue && !isDue('timestamp', row.timestamp_expires_at.getTime(), now)) return false;
  if (snapshotDue) {
    const version = nextOnlineVersion(row.snapshot_version, now);
    snapshot = await renewSnapshot(bytes, version, deps.keys.snapshot, now);
    await deps.blobs.put(metadataKey('snapshot', version), snapshot.bytes, { replace: 'any' });
  }
  const version = nextOnlineVersion(row.timestamp_version, now);
  const timestamp = await makeTimestamp(snapshot.bytes, version, deps.keys.timestamp, now);
  await record(deps, trx, snapshot.version, timestamp, now);
  return true;
}

function isDue(role: 'snapshot' | 'timestamp', expires: number, now: number): boolean {
  return expires - now <= (LIFETIME_DAYS[role] * DAY_MS) / 2;
}

function expiryIn(snapshot: Buffer): number {
  const { signed } = JSON.parse(snapshot.toString('utf8')) as { signed: { expires: string } };
  return Date.parse(signed.expires);
}

async function record(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  snapshotVersion: number,
  timestamp: OnlineDocument,
  now: number,
): Promise<void> {
  await trx
    .updateTable('repository')
    .set({
      snapshot_version: snapshotVersion,
      timestamp_version: timestamp.version,
      timestamp_json: timestamp.bytes.toString('utf8'),
      timestamp_expires_at: new Date(timestamp.expires),
      updated_at: new Date(now),
    })
    .where('organisation', '=', deps.organisation)
    .execute();
}
