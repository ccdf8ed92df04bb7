/** Puts an organisation with its sites, product, releases and enrolled chargers into a database. */
import type { Fallback } from '@tidegate/client-sdk/protocol';
import { cohortKey } from '@tidegate/rollout/core';
import type { MemoryCharger, PublishedImage } from '@tidegate/rollout/shell';
import type { Db } from '@tidegate/server/db';

export type Image = PublishedImage & { fallback: Fallback[] };

export const ORGANISATION = 'acme';
export const PRODUCT = 'acme.dc150';

export async function seedFleet(
  db: Db,
  fleet: { chargers: MemoryCharger[]; images: Image[] },
): Promise<void> {
  const at = new Date();
  const organisation = ORGANISATION;
  await db
    .insertInto('organisations')
    .values({ id: organisation, name: 'Acme', created_at: at })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const sites = [...new Set(fleet.chargers.map(({ site }) => site))];
  const siteRows = sites.map((id) => ({ organisation, id, name: id, type: 'depot', region: 'north' }));
  await db
    .insertInto('sites')
    .values(siteRows.map((row) => ({ ...row, time_zone: 'Europe/Berlin', created_at: at })))
    .execute();
  await db
    .insertInto('products')
    .values({ organisation, id: PRODUCT, hardware: ['r1', 'r2'], created_at: at })
    .execute();
  for (const image of fleet.images) {
    const { version, path, sha256, length, fallback, hardware, securityVersion } = image;
    const custom = { product: PRODUCT, version, hardware, securityVersion, fallback };
    const row = { organisation, product: PRODUCT, version, path, sha256, length, role_version: 1 };
    await db
      .insertInto('releases')
      .values({
        ...row,
        security_version: securityVersion,
        custom: JSON.stringify({ ...custom, bundles: [], notes: '', sbom: null, cves: [] }),
        published_by: 'ada',
        published_at: at,
      })
      .execute();
  }
  for (const { running, ...charger } of fleet.chargers) {
    const row = { organisation, ...charger, state: 'ACTIVE' as const, cohort_key: cohortKey(charger.serial) };
    await db
      .insertInto('chargers')
      .values({ ...row, running_sha256: running })
      .execute();
  }
}
