import type { Transaction } from 'kysely';
import { TrustedSet } from '@tidegate/client-sdk/trust';
import { metadataKey } from '@tidegate/signer/repository';
import { type Database, inTransaction, type Row } from '../db/index.ts';
import { requireOnlineKeys } from './candidate.ts';
import { loadAhead } from './claims.ts';
import { loadRow, lockRepository, readBlob, sha256Of } from './current.ts';
import { expiryIn } from './expiry.ts';
import { mirrorTimestamp, requireSettled, settle } from './fence.ts';
import { makeTimestamp, nextOnlineVersion, type OnlineDocument, renewSnapshot } from './online.ts';
import { recordTimestamp } from './record.ts';
import { isOverdue, nextDue } from './schedule.ts';
import { believedVersion, isBehind, ONLINE_ROLES } from './standing.ts';
import type { PublishingDeps } from './types.ts';
import { freeVersion } from './versions.ts';

/**
 * Signs snapshot and timestamp again, each when it is due (`schedule.ts`) or when chargers trust a higher one than there is, because the
 * database was restored from a backup. Also finishes what a crash kept from reaching `timestamp.json`. Of several replicas one signs, and the
 * others find it done. Call it at every start and every minute: it finds whatever is overdue, however the schedule was missed.
 *
 * @returns whether anything was signed.
 */
export async function refreshOnline(deps: PublishingDeps): Promise<boolean> {
  const refreshed = await inTransaction(deps.db, (trx) => refreshLocked(deps, trx));
  if (refreshed) await mirrorTimestamp(deps);
  return refreshed;
}

async function refreshLocked(deps: PublishingDeps, trx: Transaction<Database>): Promise<boolean> {
  const { organisation, blobs, keys } = deps;
  await lockRepository(trx, organisation);
  const now = deps.clock.now();
  const row = await loadRow(trx, organisation);
  if (row === undefined) return false;
  const replaces = await settle(deps, row);
  // A key that the root does not name signs what every charger refuses: better said now than when the last good timestamp ends.
  requireOnlineKeys(TrustedSet.start(await readBlob(blobs, metadataKey('root', row.root_version))), keys);
  const bytes = await readBlob(blobs, metadataKey('snapshot', row.snapshot_version));
  const reported = await reportedAbove(trx, organisation, now);
  const behind = reported.snapshot > 0 || reported.timestamp > 0;
  const signSnapshot = behind || isDue('snapshot', expiryIn(bytes), row, now);
  if (!signSnapshot && !isDue('timestamp', row.timestamp_expires_at.getTime(), row, now)) return false;
  let snapshot: OnlineDocument | undefined;
  if (signSnapshot) {
    const next = nextOnlineVersion(row.snapshot_version, now, reported.snapshot);
    const version = await freeVersion(deps, 'snapshot', next);
    snapshot = await renewSnapshot(bytes, version, keys.snapshot, now);
    await blobs.put(metadataKey('snapshot', version), snapshot.bytes);
  }
  const version = nextOnlineVersion(row.timestamp_version, now, reported.timestamp);
  const timestamp = await makeTimestamp(snapshot?.bytes ?? bytes, version, keys.timestamp, now);
  await requireSettled(deps, replaces);
  await record(deps, trx, { row, snapshot, timestamp }, now);
  return true;
}

/**
 * What chargers trust of the roles that the service signs itself; 0 where it is above. While what people sign is behind, chargers would refuse
 * whatever names it, and the publication that brings it back signs both again.
 */
async function reportedAbove(
  trx: Transaction<Database>,
  organisation: string,
  now: number,
): Promise<{ snapshot: number; timestamp: number }> {
  const ahead = await loadAhead(trx, organisation, now);
  if (isBehind(ahead.filter(({ role }) => !ONLINE_ROLES.has(role)))) return { snapshot: 0, timestamp: 0 };
  return { snapshot: believedVersion(ahead, 'snapshot'), timestamp: believedVersion(ahead, 'timestamp') };
}

function isDue(
  role: 'snapshot' | 'timestamp',
  expires: number,
  row: Row<'repository'>,
  now: number,
): boolean {
  const due = row[`${role}_due_at`]?.getTime() ?? null;
  return isOverdue(role, { expires, due }, now);
}

async function record(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  signed: { row: Row<'repository'>; snapshot: OnlineDocument | undefined; timestamp: OnlineDocument },
  now: number,
): Promise<void> {
  const { row, snapshot, timestamp } = signed;
  await trx
    .updateTable('repository')
    .set({
      ...(snapshot === undefined
        ? {}
        : {
            snapshot_version: snapshot.version,
            snapshot_due_at: nextDue('snapshot', snapshot.expires, deps.random),
          }),
      timestamp_version: timestamp.version,
      timestamp_json: timestamp.bytes.toString('utf8'),
      timestamp_expires_at: new Date(timestamp.expires),
      previous_timestamp_sha256: sha256Of(Buffer.from(row.timestamp_json)),
      timestamp_due_at: nextDue('timestamp', timestamp.expires, deps.random),
      updated_at: new Date(now),
    })
    .where('organisation', '=', deps.organisation)
    .execute();
  const led = {
    ...row,
    snapshot_version: snapshot?.version ?? row.snapshot_version,
    timestamp_version: timestamp.version,
  };
  await recordTimestamp(trx, deps.organisation, { ...led, at: new Date(now) });
}
