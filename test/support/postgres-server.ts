/** A PostgreSQL that lives as long as a test file or a benchmark, with a migrated template to clone. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { type EmbeddedPostgres, migrate, openDatabase, startEmbeddedPostgres } from '@tidegate/server/db';

export interface PostgresServer {
  /** Creates a database, as a clone of the migrated template or empty, and gives its URL. */
  create(name: string, migrated?: boolean): Promise<string>;
  /** Stops it and removes everything. */
  remove(): Promise<void>;
}

/** A test's data need not survive a power cut. */
const VOLATILE = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };

const TEMPLATE = 'template_of_tests';

/** @param durable whether a commit is on the disk, as in production: where time is measured. */
export async function startPostgresServer({ durable = false } = {}): Promise<PostgresServer> {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-test-'));
  // Lets PostgreSQL's own user in where the tests run as root.
  await chmod(folder, 0o711);
  const postgres = await startEmbeddedPostgres(join(folder, 'postgres'), {
    settings: durable ? {} : VOLATILE,
  });
  await administer(postgres, `create database ${TEMPLATE}`);
  const template = openDatabase(postgres.urlOf(TEMPLATE), { connections: 2 });
  await migrate(template);
  await template.destroy();
  return {
    async create(name, migrated = true) {
      await administer(postgres, `create database ${name}${migrated ? ` template ${TEMPLATE}` : ''}`);
      return postgres.urlOf(name);
    },
    async remove() {
      await postgres.stop({ remove: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
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
