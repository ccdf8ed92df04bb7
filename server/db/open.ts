import { Pool, TypeOverrides, types } from 'pg';
import { Kysely, PostgresDialect } from 'kysely';
import { DatabaseError } from './errors.ts';
import type { Database } from './schema.ts';

export type Db = Kysely<Database>;

export interface OpenOptions {
  /** Most connections of the pool. */
  connections?: number;
  /** Told of connections that broke, e.g. when PostgreSQL restarts; the pool replaces them, and queries under way fail. */
  onLostConnection?: (error: Error) => void;
}

/** Opens a pool. Nothing is connected until the first query. `db.destroy()` closes it. */
export function openDatabase(url: string, options: OpenOptions = {}): Db {
  const parsers = new TypeOverrides(types);
  parsers.setTypeParser(types.builtins.INT8, safeInteger);
  const pool = new Pool({
    connectionString: url,
    max: options.connections ?? 10,
    connectionTimeoutMillis: 10_000,
    application_name: 'tidegate',
    types: parsers,
  });
  // Without a listener an error on a connection would end the process, whether it is idle or lent out.
  const lost = (error: Error): void => options.onLostConnection?.(error);
  pool.on('error', lost);
  pool.on('connect', (client) => client.on('error', lost));
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
}

/** `bigint` as a number. Sizes, counts and versions stay far below 2^53; what does not is refused instead of rounded. */
function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new DatabaseError('NUMBER_TOO_LARGE', text);
  return value;
}
