import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { emptyDatabase, testDatabase } from '../../test/support/postgres.ts';
import { openDatabase } from './open.ts';
import { migrate, MIGRATIONS } from './migrate.ts';

describe('migrate', () => {
  test('runs every migration once, in order', async () => {
    const { db } = await emptyDatabase();
    expect(await migrate(db)).toEqual(Object.keys(MIGRATIONS));
    expect(await migrate(db)).toEqual([]);
  });

  test('two processes that start together run each migration once', async () => {
    const { url } = await emptyDatabase();
    const starters = [1, 2, 3].map(() => openDatabase(url, { connections: 2 }));
    const ran = await Promise.all(starters.map((db) => migrate(db)));
    expect(ran.flat()).toEqual(Object.keys(MIGRATIONS));
    await Promise.all(starters.map((db) => db.destroy()));
  });

  test('refuses a database that a newer version has migrated', async () => {
    const { db } = await testDatabase();
    const future = { up: () => sql`create table of_the_future ()`.execute(db).then(() => undefined) };
    await migrate(db, { ...MIGRATIONS, '9999-future': future });
    await expect(migrate(db)).rejects.toMatchObject({ code: 'DATABASE_NEWER' });
  });

  test('takes a failing migration back', async () => {
    const { db } = await testDatabase();
    const broken = {
      up: (trx: typeof db) => sql`create table half (); select 1/0`.execute(trx).then(() => undefined),
    };
    await expect(migrate(db, { ...MIGRATIONS, '9999-broken': broken })).rejects.toMatchObject({
      code: 'MIGRATION_FAILED',
    });
    const { rows } = await sql<{ table: string | null }>`select to_regclass('half')::text as table`.execute(
      db,
    );
    expect(rows[0]?.table).toBeNull();
    expect(await migrate(db)).toEqual([]);
  });

  test('says that nobody answers', async () => {
    const db = openDatabase('postgresql://nobody@127.0.0.1:1/none');
    await expect(migrate(db)).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' });
    await db.destroy();
  });
});

describe('numbers', () => {
  test('bigint comes back as a number', async () => {
    const { db } = await testDatabase();
    const { rows } = await sql<{ n: number }>`select 9007199254740991::bigint as n`.execute(db);
    expect(rows[0]?.n).toBe(Number.MAX_SAFE_INTEGER);
  });

  test('one beyond 2^53 − 1 is refused, not rounded', async () => {
    const { db } = await testDatabase();
    await expect(sql`select 9007199254740993::bigint as n`.execute(db)).rejects.toMatchObject({
      code: 'NUMBER_TOO_LARGE',
    });
  });
});
