import type { Db } from '../db/index.ts';
import type { PublishingDeps } from './index.ts';

/** The same service, from a backup of its database that is made now, in an empty one. */
export async function restoredFrom(deps: PublishingDeps, db: Db): Promise<PublishingDeps> {
  await copy(deps.db, db);
  return { ...deps, db };
}

const TABLES = ['organisations', 'products', 'releases', 'repository', 'audit'] as const;

async function copy(from: Db, to: Db): Promise<void> {
  for (const table of TABLES) {
    const rows = await from.selectFrom(table).selectAll().execute();
    for (const row of rows) {
      const values = Object.fromEntries(
        Object.entries(row).map(([column, value]) => [column, isJson(value) ? JSON.stringify(value) : value]),
      );
      await to.insertInto(table).values(values).execute();
    }
  }
}

function isJson(value: unknown): boolean {
  const plain = typeof value === 'object' && value !== null && !(value instanceof Date);
  return plain && !(Array.isArray(value) && value.every((one) => typeof one === 'string'));
}
