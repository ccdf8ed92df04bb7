/**
 * Fresh migrated databases for tests, on a real PostgreSQL. The first call in a test file starts a server and migrates a template;
 * each call clones the template, which takes some 50 ms. Everything is gone when the file is done.
 *
 *     const { db, url } = await testDatabase();
 */
import { afterAll } from 'vitest';
import { type Db, openDatabase } from '@tidegate/server/db';
import { type PostgresServer, startPostgresServer } from './postgres-server.ts';

export interface TestDatabase {
  db: Db;
  url: string;
}

let server: Promise<PostgresServer> | undefined;
let databases = 0;
const open: Db[] = [];

export async function testDatabase(): Promise<TestDatabase> {
  return create(`test_${++databases}`, true);
}

/** An empty database, without tables. */
export async function emptyDatabase(): Promise<TestDatabase> {
  return create(`empty_${++databases}`, false);
}

async function create(name: string, migrated: boolean): Promise<TestDatabase> {
  server ??= startPostgresServer();
  const url = await (await server).create(name, migrated);
  const db = openDatabase(url, { connections: 5 });
  open.push(db);
  return { db, url };
}

afterAll(async () => {
  const started = await server?.catch(() => undefined);
  server = undefined;
  await Promise.all(open.splice(0).map((db) => db.destroy()));
  await started?.remove();
});
