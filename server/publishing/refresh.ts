import type { Transaction } from 'kysely';
import { LIFETIME_DAYS, metadataKey } from '@tidegate/signer/repository';
import { type Database, inTransaction, type Row } from '../db/index.ts';
import { loadRow, lockRepository, readBlob, sha256Of } from './current.ts';
import { mirrorTimestamp, requireSettled, settle } from './fence.ts';
import { makeTimestamp, nextOnlineVersion, type OnlineDocument, renewSnapshot } from './online.ts';
import { recordTimestamp } from './record.ts';
import type { PublishingDeps } from './types.ts';
import { freeVersion } from './versions.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Signs snapshot and timestamp again, each from half its life on, so that a service which stands still for half a day harms nobody.
 * Also finishes what a crash kept from reaching `timestamp.json`. Call it at every start and every few minutes.
 *
 * @returns whether anything was signed.
 */
export async function refreshOnline(deps: PublishingDeps): Promise<boolean> {
  const refreshed = await inTransaction(deps.db, (trx) => refreshLocked(deps, trx));
  if (refreshed) await mirrorTimestamp(deps);
  return refreshed;
}

async function refreshLocked(deps: PublishingDeps, trx: Transaction<Database>): Promise<boolean> {
  await lockRepository(trx, deps.organisation);
  const now = deps.clock.now();
  const row = await loadRow(trx, deps.organisation);
  if (row === undefined) return false;
  const replaces = await settle(deps, row);
  const bytes = await readBlob(deps.blobs, metadataKey('snapshot', row.snapshot_version));
  let snapshot = { version: row.snapshot_version, bytes };
  const snapshotDue = isDue('snapshot', expiryIn(bytes), now);
  if (!snapshotDue && !isDue('timestamp', row.timestamp_expires_at.getTime(), now)) return false;
  if (snapshotDue) {
    const next = await freeVersion(deps, 'snapshot', nextOnlineVersion(row.snapshot_version, now));
    snapshot = await renewSnapshot(bytes, next, deps.keys.snapshot, now);
    await deps.blobs.put(metadataKey('snapshot', next), snapshot.bytes);
  }
  const version = nextOnlineVersion(row.timestamp_version, now);
  const timestamp = await makeTimestamp(snapshot.bytes, version, deps.keys.timestamp, now);
  await requireSettled(deps, replaces);
  await record(deps, trx, { row, snapshotVersion: snapshot.version, timestamp }, now);
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
  signed: { row: Row<'repository'>; snapshotVersion: number; timestamp: OnlineDocument },
  now: number,
): Promise<void> {
  const { row, snapshotVersion, timestamp } = signed;
  await trx
    .updateTable('repository')
    .set({
      snapshot_version: snapshotVersion,
      timestamp_version: timestamp.version,
      timestamp_json: timestamp.bytes.toString('utf8'),
      timestamp_expires_at: new Date(timestamp.expires),
      previous_timestamp_sha256: sha256Of(Buffer.from(row.timestamp_json)),
      updated_at: new Date(now),
    })
    .where('organisation', '=', deps.organisation)
    .execute();
  const led = { ...row, snapshot_version: snapshotVersion, timestamp_version: timestamp.version };
  await recordTimestamp(trx, deps.organisation, { ...led, at: new Date(now) });
}
