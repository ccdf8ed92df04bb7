/**
 * Fresh migrated databases for tests, on a real PostgreSQL. The first call in a test file starts a server and migrates a template;
 * each call clones the template, which takes some 50 ms. Everything is gone when the file is done.
 *
 *     const { db, url } = await testDatabase();
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll } from 'vitest';
import {
  type Db,
  type EmbeddedPostgres,
  migrate,
  openDatabase,
  startEmbeddedPostgres,
} from '@tidegate/server/db';

export interface TestDatabase {
  db: Db;
  url: string;
}

const TEMPLATE = 'template_of_tests';
let server: Promise<{ postgres: EmbeddedPostgres; folder: string }> | undefined;
let databases = 0;
const open: Db[] = [];

export async function testDatabase(): Promise<TestDatabase> {
  const { postgres } = await (server ??= startServer());
  const name = `test_${++databases}`;
  await administer(postgres, `create database ${name} template ${TEMPLATE}`);
  const url = postgres.urlOf(name);
  const db = openDatabase(url, { connections: 5 });
  open.push(db);
  return { db, url };
}

/** An empty database, without tables. */
export async function emptyDatabase(): Promise<TestDatabase> {
  const { postgres } = await (server ??= startServer());
  const name = `empty_${++databases}`;
  await administer(postgres, `create database ${name}`);
  const url = postgres.urlOf(name);
  const db = openDatabase(url, { connections: 5 });
  open.push(db);
  return { db, url };
}

async function startServer(): Promise<{ postgres: EmbeddedPostgres; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-test-'));
  // Lets PostgreSQL's own user in where the tests run as root.
  await chmod(folder, 0o711);
  // A test's data need not survive a power cut.
  const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };
  const postgres = await startEmbeddedPostgres(join(folder, 'postgres'), { settings });
  await administer(postgres, `create database ${TEMPLATE}`);
  const template = openDatabase(postgres.urlOf(TEMPLATE), { connections: 2 });
  await migrate(template);
  await template.destroy();
  return { postgres, folder };
}

async function administer(postgres: EmbeddedPostgres, statement: string): Promise<void> {
  const client = new Client({ connectionString: postgres.urlOf('postgres') });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

afterAll(async () => {
  const started = await server?.catch(() => undefined);
  server = undefined;
  await Promise.all(open.splice(0).map((db) => db.destroy()));
  await started?.postgres.stop({ remove: true });
  if (started !== undefined) await rm(started.folder, { recursive: true, force: true });
});
