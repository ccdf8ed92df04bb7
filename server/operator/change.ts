/** Changes that are one transaction: the rows and the audit entry that tells of them. */
import type { Transaction } from 'kysely';
import { appendAudit } from '../audit/index.ts';
import { type Database, inTransaction } from '../db/index.ts';
import type { Call } from './route.ts';

export interface Done<T> {
  value: T;
  /** What the audit log says of it; null when nothing changed. */
  audit: { action: string; subject: string; detail: Record<string, unknown> } | null;
}

/** Runs `work` and appends its audit entry in the same transaction. The audit comes last, because its lock is one for the organisation. */
export async function audited<T>(
  call: Pick<Call<unknown, unknown, unknown>, 'deps' | 'operator' | 'actor' | 'now'>,
  work: (trx: Transaction<Database>) => Promise<Done<T>>,
): Promise<T> {
  return inTransaction(call.deps.db, async (trx) => {
    const { value, audit } = await work(trx);
    if (audit !== null) {
      const entry = { ...call.actor, ...audit };
      await appendAudit(trx, call.operator.organisation, [entry], new Date(call.now));
    }
    return value;
  });
}
