import { type Transaction, sql } from 'kysely';
import type { AuditEntry } from '@tidegate/rollout/shell';
import type { Database } from '../db/schema.ts';
import { GENESIS, auditHash } from './chain.ts';

/**
 * Appends rows to an organisation's audit log, inside the transaction that makes the change they tell of.
 *
 * From here to the end of the transaction no other can append for this organisation: call it last, so that little waits.
 */
export async function appendAudit(
  trx: Transaction<Database>,
  organisation: string,
  entries: readonly AuditEntry[],
  at: Date,
): Promise<void> {
  if (entries.length === 0) return;
  // Two transactions that read the same last row would both take its next position; the second would fail as a whole.
  await sql`select pg_advisory_xact_lock(hashtextextended(${`tidegate audit ${organisation}`}, 0))`.execute(
    trx,
  );
  let { position, hash } = await lastRow(trx, organisation);
  const rows = entries.map((entry) => {
    const previous_hash = hash;
    position += 1;
    // The hash is taken over what the database gives back: no undefined, no Date, no -0.
    const { actor, action, subject, reason, source, detail } = storable(entry);
    const columns = { organisation, position, actor, action, subject, reason, source };
    hash = auditHash(previous_hash, { ...columns, at: at.toISOString(), detail });
    return { ...columns, at, detail: JSON.stringify(detail), previous_hash, hash };
  });
  await trx.insertInto('audit').values(rows).execute();
}

/** As UTF-8 keeps it: half a surrogate pair would come back as another character, and the hash would never fit again. */
function storable(entry: AuditEntry): AuditEntry {
  const whole = (_key: string, value: unknown): unknown =>
    typeof value === 'string' ? value.toWellFormed().replaceAll('\u0000', '\ufffd') : value;
  return JSON.parse(JSON.stringify(entry, whole)) as AuditEntry;
}

async function lastRow(
  trx: Transaction<Database>,
  organisation: string,
): Promise<{ position: number; hash: string }> {
  const last = await trx
    .selectFrom('audit')
    .select(['position', 'hash'])
    .where('organisation', '=', organisation)
    .orderBy('position', 'desc')
    .limit(1)
    .executeTakeFirst();
  return last ?? { position: 0, hash: GENESIS };
}
