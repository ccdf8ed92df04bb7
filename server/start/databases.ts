import { join } from 'node:path';
import type { Logger } from 'pino';
import { postgresDoorbell, type QueueDoorbell, redisDoorbell } from '@tidegate/rollout/shell';
import { type Db, migrate, openDatabase, startEmbeddedPostgres } from '../db/index.ts';
import type { ServiceConfig } from './config.ts';
import { StartError } from './errors.ts';

/** What is closed at the end, last opened first. */
export type Closing = (() => Promise<unknown>)[];

const CONNECTIONS = 20;

export interface Databases {
  db: Db;
  doorbell: QueueDoorbell;
}

/** The database of the configuration, migrated, and the queue: on the same database, or on Redis. */
export async function openDatabases(
  config: ServiceConfig,
  log: Logger,
  closing: Closing,
  fail: (error: Error) => void,
  signal: AbortSignal,
): Promise<Databases> {
  const url = config.databaseUrl ?? (await startPostgres(join(config.folder, 'postgres'), closing, fail));
  signal.throwIfAborted();
  const db = openDatabase(url, {
    connections: CONNECTIONS,
    onLostConnection: (error) =>
      log.warn({ err: error }, 'A database connection was lost; another takes its place.'),
  });
  closing.push(() => db.destroy());
  const ran = await migrate(db);
  if (ran.length > 0) log.info({ migrations: ran }, 'The database was migrated.');
  signal.throwIfAborted();
  const doorbell = await openDoorbell(config.redisUrl, url, log, signal);
  closing.push(() => doorbell.close());
  return { db, doorbell };
}

async function startPostgres(
  folder: string,
  closing: Closing,
  fail: (error: Error) => void,
): Promise<string> {
  const postgres = await startEmbeddedPostgres(folder);
  let wanted = true;
  closing.push(() => {
    wanted = false;
    return postgres.stop();
  });
  void postgres.ended.then(() => {
    if (wanted) fail(new StartError('POSTGRES_LOST', folder));
  });
  return postgres.url;
}

async function openDoorbell(
  redisUrl: string | undefined,
  databaseUrl: string,
  log: Logger,
  signal: AbortSignal,
): Promise<QueueDoorbell> {
  if (redisUrl === undefined) return postgresDoorbell(databaseUrl, log);
  return redisDoorbell(redisUrl, log, signal).catch((cause: unknown) => {
    throw new StartError('QUEUE_UNREACHABLE', 'REDIS_URL', { cause });
  });
}
