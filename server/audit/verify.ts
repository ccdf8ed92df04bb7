import { sql } from 'kysely';
import type { Db, Row } from '../db/index.ts';
import { GENESIS, auditHash } from './chain.ts';

/** The end of a log at some moment. Kept elsewhere, it proves later that nothing was cut off the end. */
export interface AuditHead {
  position: number;
  hash: string;
}

/**
 * - `MISSING`: the row at this position is gone.
 * - `UNCHAINED`: it does not name the hash of the row before it: a row was inserted, removed or swapped.
 * - `CHANGED`: its content is not what its hash was taken over.
 * - `REWRITTEN`: the chain holds together, but not with the head that was kept elsewhere.
 */
export type AuditFault = 'MISSING' | 'UNCHAINED' | 'CHANGED' | 'REWRITTEN';

export type AuditVerdict = { ok: true; head: AuditHead } | { ok: false; position: number; fault: AuditFault };

const PAGE = 1_000;

/**
 * Recomputes an organisation's whole chain and finds the first broken position.
 * @param kept a head noted earlier. Without one, rows cut off the end cannot be noticed.
 */
export async function verifyAudit(db: Db, organisation: string, kept?: AuditHead): Promise<AuditVerdict> {
  let head: AuditHead = { position: 0, hash: GENESIS };
  for (;;) {
    const rows = await page(db, organisation, head.position);
    for (const row of rows) {
      const fault = faultOf(row, head);
      // A gap is broken where the row is missing, not where the next one stands.
      if (fault !== undefined) return { ok: false, position: head.position + 1, fault };
      head = { position: row.position, hash: row.hash };
      if (kept?.position === head.position && kept.hash !== head.hash) {
        return { ok: false, position: head.position, fault: 'REWRITTEN' };
      }
    }
    if (rows.length < PAGE) break;
  }
  if (kept !== undefined && kept.position > head.position) {
    return { ok: false, position: head.position + 1, fault: 'MISSING' };
  }
  return { ok: true, head };
}

function faultOf(row: AuditRow, before: AuditHead): AuditFault | undefined {
  if (row.position !== before.position + 1) return 'MISSING';
  if (row.previous_hash !== before.hash) return 'UNCHAINED';
  const content = { ...row, at: row.at.toISOString() };
  // Rows are written in whole milliseconds; a Date would hide a change below that.
  if (!row.whole || auditHash(before.hash, content) !== row.hash) return 'CHANGED';
  return undefined;
}

type AuditRow = Row<'audit'> & { whole: boolean };

function page(db: Db, organisation: string, after: number): Promise<AuditRow[]> {
  return db
    .selectFrom('audit')
    .selectAll()
    .select(sql<boolean>`at = date_trunc('milliseconds', at)`.as('whole'))
    .where('organisation', '=', organisation)
    .where('position', '>', after)
    .orderBy('position')
    .limit(PAGE)
    .execute();
}
