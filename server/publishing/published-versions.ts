import type { Db, Row } from '../db/index.ts';

/** Versions that are published; `roles` by product. */
export interface PublishedVersions {
  root: number;
  targets: number;
  snapshot: number;
  timestamp: number;
  roles: Readonly<Record<string, number>>;
}

/** Columns of `repository` that say them. */
export const VERSION_COLUMNS = [
  'root_version',
  'targets_version',
  'snapshot_version',
  'timestamp_version',
  'roles',
] as const;

export function versionsIn(
  row: Pick<Row<'repository'>, (typeof VERSION_COLUMNS)[number]>,
): PublishedVersions {
  return {
    root: row.root_version,
    targets: row.targets_version,
    snapshot: row.snapshot_version,
    timestamp: row.timestamp_version,
    roles: row.roles,
  };
}

/** @returns undefined before the first publication. */
export async function loadVersions(db: Db, organisation: string): Promise<PublishedVersions | undefined> {
  const row = await db
    .selectFrom('repository')
    .select(VERSION_COLUMNS)
    .where('organisation', '=', organisation)
    .executeTakeFirst();
  return row && versionsIn(row);
}
