import type { Transaction } from 'kysely';
import type { Db } from './open.ts';
import type { Database } from './schema.ts';

/** PostgreSQL ended one of two transactions that waited for each other, or could not serialise them: run it again. */
const RETRYABLE = new Set(['40P01', '40001']);
const ATTEMPTS = 5;

/**
 * Runs `work` in one transaction, and again from the start where PostgreSQL broke a deadlock; so `work` has no effect
 * outside the transaction. Every writer of assignments and counters goes through here.
 */
export async function inTransaction<T>(db: Db, work: (trx: Transaction<Database>) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction().execute(work);
    } catch (error) {
      if (attempt >= ATTEMPTS || !RETRYABLE.has(sqlState(error) ?? '')) throw error;
    }
  }
}

/** SQLSTATE of a PostgreSQL error, e.g. `23505` for a unique violation. */
export function sqlState(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : undefined;
}
