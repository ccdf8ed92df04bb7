import type { Kysely } from 'kysely';
import type { PublishedImage } from '@tidegate/rollout/shell';
import { barredBecause } from './barred.ts';
import type { Database } from './schema.ts';

/** Every release of a product, as a way back to choose from. */
export async function publishedImages(
  db: Kysely<Database>,
  { organisation, product }: { organisation: string; product: string },
): Promise<PublishedImage[]> {
  const rows = await db
    .selectFrom('releases')
    .leftJoin('repository', 'repository.organisation', 'releases.organisation')
    .select(['path', 'sha256', 'length', 'version', 'security_version', 'custom'])
    .select(barredBecause('releases', 'repository').as('barred'))
    .where('releases.organisation', '=', organisation)
    .where('product', '=', product)
    .execute();
  return rows.map((row) => ({
    path: row.path,
    sha256: row.sha256,
    length: row.length,
    version: row.version,
    securityVersion: row.security_version,
    hardware: row.custom.hardware,
    barred: row.barred !== null,
  }));
}
