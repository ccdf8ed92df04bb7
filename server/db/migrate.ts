import { sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { DatabaseError } from './errors.ts';
import * as foundation from './migrations/0001-foundation.ts';
import * as whoTold from './migrations/0002-who-told.ts';
import * as peopleAndKeys from './migrations/0003-people-and-keys.ts';
import * as fence from './migrations/0004-fence.ts';
import * as timestamps from './migrations/0005-timestamps.ts';
import * as refused from './migrations/0006-refused.ts';
import * as lifetimes from './migrations/0007-lifetimes.ts';
import type { Db } from './open.ts';

/** Every migration that this code knows, in order. They only run forward: there is no `down`. */
export const MIGRATIONS: Record<string, Migration> = {
  '0001-foundation': foundation,
  '0002-who-told': whoTold,
  '0003-people-and-keys': peopleAndKeys,
  '0004-fence': fence,
  '0005-timestamps': timestamps,
  '0006-refused': refused,
  '0007-lifetimes': lifetimes,
};

const OLDEST_SERVER = 150_000;

/**
 * Brings the database up to date. Safe when several processes start together: kysely holds an advisory lock meanwhile.
 *
 * @returns the names of the migrations that ran now.
 * @throws DatabaseError `DATABASE_NEWER`, `DATABASE_UNSUPPORTED`, `DATABASE_UNREACHABLE`, `MIGRATION_FAILED`
 */
export async function migrate(db: Db, migrations: Record<string, Migration> = MIGRATIONS): Promise<string[]> {
  await requireSupportedServer(db);
  await refuseToRunBackward(db, migrations);
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } });
  const { error, results } = await migrator.migrateToLatest();
  if (error !== undefined) {
    // A newer process may have migrated between the check above and the lock.
    await refuseToRunBackward(db, migrations);
    const failed = results?.find((result) => result.status === 'Error')?.migrationName;
    throw new DatabaseError('MIGRATION_FAILED', failed ?? 'before the first', { cause: error });
  }
  return (results ?? []).map((result) => result.migrationName);
}

async function requireSupportedServer(db: Db): Promise<void> {
  const version = await serverVersion(db);
  if (version < OLDEST_SERVER)
    throw new DatabaseError('DATABASE_UNSUPPORTED', `server_version_num ${version}`);
}

async function serverVersion(db: Db): Promise<number> {
  try {
    const { rows } = await sql<{ version: string }>`
      select current_setting('server_version_num') as version`.execute(db);
    return Number(rows[0]?.version);
  } catch (error) {
    throw new DatabaseError('DATABASE_UNREACHABLE', 'The first query failed.', { cause: error });
  }
}

async function refuseToRunBackward(db: Db, migrations: Record<string, Migration>): Promise<void> {
  const { rows: tables } = await sql<{ table: string | null }>`
    select to_regclass('kysely_migration')::text as table`.execute(db);
  if (tables[0]?.table === null || tables[0] === undefined) return;
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  const unknown = rows.find(({ name }) => !Object.hasOwn(migrations, name));
  if (unknown !== undefined) throw new DatabaseError('DATABASE_NEWER', `It has migration ${unknown.name}.`);
}
