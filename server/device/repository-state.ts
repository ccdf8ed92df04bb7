import { sql } from 'kysely';
import { ApiError } from '../http/index.ts';
import type { Db } from '../db/index.ts';
import { type PublishedVersions, VERSION_COLUMNS, versionsIn } from '../publishing/index.ts';

/** What of the repository every answer carries, or depends on. */
export interface RepositoryState {
  /** `timestamp.json`, verbatim. */
  timestamp: string;
  versions: PublishedVersions;
  /** Epoch of the organisation's director, from the published policy. */
  epoch: number;
}

/**
 * Reads it inside the caller's transaction, so that an answer is never older than what the transaction saw.
 * @throws ApiError `UNAVAILABLE` before the first publication.
 */
export async function repositoryState(trx: Db, organisation: string): Promise<RepositoryState> {
  const row = await trx
    .selectFrom('repository')
    .select('timestamp_json')
    .select(VERSION_COLUMNS)
    .select(sql<number | null>`(policy #>> ${['directors', organisation, 'epoch']})::bigint`.as('epoch'))
    .where('organisation', '=', organisation)
    .executeTakeFirst();
  if (row === undefined || row.epoch === null) {
    throw new ApiError('UNAVAILABLE', 'No policy with a director for this organisation is published yet.');
  }
  return {
    timestamp: row.timestamp_json,
    versions: versionsIn(row),
    epoch: row.epoch,
  };
}

/** Version of the newest root that is published; 0 before the first. */
export async function rootVersion(db: Db, organisation: string): Promise<number> {
  const row = await db
    .selectFrom('repository')
    .select('root_version')
    .where('organisation', '=', organisation)
    .executeTakeFirst();
  return row?.root_version ?? 0;
}
