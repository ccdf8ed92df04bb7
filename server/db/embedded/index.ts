import { readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { DatabaseError } from '../errors.ts';
import { sqlState } from '../transaction.ts';
import { postgresAccount } from './account.ts';
import { findBinaries } from './binaries.ts';
import { DATABASE_USER, initialise } from './cluster.ts';
import { type GuardedProcess, spawnGuarded } from './guard.ts';
import { type Place, recorded, removeData, settle, SHARED_HOME } from './place.ts';
import { awaitPredecessor } from './predecessor.ts';

export { recorded as embeddedPlace } from './place.ts';

/**
 * Removes whatever the embedded PostgreSQL of this folder keeps, also what lies elsewhere.
 * @throws DatabaseError `POSTGRES_IN_USE` where one serves it and does not end
 */
export async function removeEmbeddedPostgres(folder: string): Promise<void> {
  // Of a service that was killed it may be shutting down still, and would write into what is being removed.
  await awaitPredecessor(join((await recorded(folder)) ?? folder, 'data'));
  await removeData(folder);
}

export interface EmbeddedPostgres {
  /** Connection string of the database `tidegate`. */
  url: string;
  /** Connection string of another database on the same server. */
  urlOf(database: string): string;
  /** Resolves when PostgreSQL has ended, wanted or not. */
  ended: Promise<unknown>;
  /** Fast shutdown: open transactions are taken back, data are written. With `remove` the data go as well. */
  stop(options?: { remove?: boolean }): Promise<void>;
}

const DATABASE = 'tidegate';
const READY_WITHIN_MS = 60_000;
const LARGEST_LOG = 10 * 1024 * 1024;

/** fsync stays at its default, on: an acknowledged report is never lost (design §8.9). */
const SETTINGS: Record<string, string> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: '100',
  shared_buffers: '128MB',
  // Containers often give 64 MB of shared memory, which parallel plans exhaust.
  max_parallel_workers_per_gather: '0',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // Statements may hold what a log should not.
  log_min_error_statement: 'panic',
};

/**
 * Starts a real PostgreSQL for this service alone, on a Unix socket in a private folder. It ends with this process, however
 * that ends.
 *
 * @param folder keeps the data, or says where they are (see `place.ts`).
 * @throws DatabaseError `POSTGRES_MISSING`, `POSTGRES_USER`, `POSTGRES_IN_USE`, `POSTGRES_FAILED`
 */
export async function startEmbeddedPostgres(
  folder: string,
  options: {
    settings?: Record<string, string>;
    /** How long to wait for an earlier one on the same data. */ patienceMs?: number;
  } = {},
): Promise<EmbeddedPostgres> {
  const account = postgresAccount();
  const place = await settle(folder, account);
  const copies = account.ids.uid === undefined ? join(folder, 'binaries') : SHARED_HOME;
  const binaries = await findBinaries(account, copies);
  await awaitPredecessor(place.data, options.patienceMs);
  await initialise(place, binaries, account);
  await turnLog(place.log);
  const settings = { ...SETTINGS, ...options.settings, unix_socket_directories: `"${place.socket}"` };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawnGuarded(binaries.postgres, ['-D', place.data, ...flags], {
    account,
    cwd: '/',
    log: place.log,
  });
  const urlOf = (database: string): string =>
    `postgresql://${DATABASE_USER}@/${database}?host=${encodeURIComponent(place.socket)}`;
  const stop = async ({ remove = false } = {}): Promise<void> => {
    await server.stop();
    if (place.temporarySocket) await rm(place.socket, { recursive: true, force: true });
    if (remove) await removeData(folder);
  };
  try {
    await createDatabase(urlOf('postgres'), server, place);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: urlOf(DATABASE), urlOf, ended: server.ended, stop };
}

async function createDatabase(url: string, server: GuardedProcess, place: Place): Promise<void> {
  const client = await connect(url, server, place);
  try {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
}

async function connect(url: string, server: GuardedProcess, place: Place): Promise<Client> {
  let ended = false;
  void server.ended.then(() => (ended = true));
  const until = Date.now() + READY_WITHIN_MS;
  for (;;) {
    const client = new Client({ connectionString: url });
    // An error that comes after the one from `connect` has no other listener.
    client.on('error', () => undefined);
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (ended || Date.now() > until || !isStillStarting(error)) {
        throw new DatabaseError('POSTGRES_FAILED', await lastLine(place.log), { cause: error });
      }
      await sleep(20);
    }
  }
}

const CANNOT_CONNECT_NOW = '57P03';

function isStillStarting(error: unknown): boolean {
  return ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', CANNOT_CONNECT_NOW].includes(sqlState(error) ?? '');
}

async function lastLine(log: string): Promise<string> {
  const text = await readFile(log, 'utf8').catch(() => '');
  return text.trim().split('\n').at(-1) ?? 'It wrote no log.';
}

async function turnLog(log: string): Promise<void> {
  const size = await stat(log).then(
    (file) => file.size,
    () => 0,
  );
  if (size > LARGEST_LOG) await rename(log, `${log}.1`);
}
