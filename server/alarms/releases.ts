/** Which releases name which ways back, and who depends on them. */
import { sql } from 'kysely';
import type { Fallback } from '@tidegate/client-sdk/protocol';
import { chooseFallback } from '@tidegate/rollout/shell';
import { type Db, publishedImages } from '../db/index.ts';
import type { FallbackFact } from './alarms.ts';

const UNFINISHED = ['AWAITING_APPROVAL', 'SCHEDULED', 'RUNNING', 'PAUSED', 'HALTED', 'ROLLING_BACK'] as const;

/** Ways back of every listed release, and of every other one that chargers run. */
export async function loadFallbacks(db: Db, organisation: string): Promise<FallbackFact[]> {
  const releases = await db
    .selectFrom('releases')
    .select(['product', 'version', 'sha256', 'yanked_at'])
    // Of thousands of releases only what is looked at.
    .select(sql<Fallback[]>`custom -> 'fallback'`.as('fallback'))
    .where('organisation', '=', organisation)
    .where(sql<boolean>`jsonb_array_length(custom -> 'fallback') > 0`)
    .execute();
  const running = await db
    .selectFrom('chargers')
    .select(['product', 'running_sha256'])
    .distinct()
    .where('organisation', '=', organisation)
    .where('state', '=', 'ACTIVE')
    .where('running_sha256', 'is not', null)
    .execute();
  const brought = await db
    .selectFrom('rollouts')
    .select(['product', 'version'])
    .where('organisation', '=', organisation)
    .where('status', 'in', UNFINISHED)
    .execute();
  const runs = new Set(running.map((row) => `${row.product} ${row.running_sha256}`));
  const brings = new Set(brought.map((row) => `${row.product} ${row.version}`));
  return releases.flatMap(({ product, version, sha256, fallback, yanked_at }) => {
    const isRun = runs.has(`${product} ${sha256}`);
    if (yanked_at !== null && !isRun) return [];
    const used = isRun || brings.has(`${product} ${version}`);
    return fallback.map(({ path, expires }) => ({
      product,
      version,
      path,
      expires: Date.parse(expires),
      used,
    }));
  });
}

/**
 * The first moment at which some hardware of a release has no way back left, and the one that ends then. Undefined where it never had any.
 */
export async function lastWayBack(
  db: Db,
  organisation: string,
  release: { product: string; path: string },
): Promise<{ path: string; expires: number } | undefined> {
  const { product, path } = release;
  const found = await db
    .selectFrom('releases')
    .select(['custom', 'security_version'])
    .where('organisation', '=', organisation)
    .where('path', '=', path)
    .executeTakeFirst();
  if (found === undefined) return undefined;
  const published = await publishedImages(db, { organisation, product });
  const lasts = found.custom.hardware.flatMap((hardware) => {
    const charger = { before: null, hardware };
    const rule = { published, securityVersion: found.security_version, charger, now: -Infinity };
    const usable = found.custom.fallback.filter(
      (entry) => chooseFallback({ ...rule, fallback: [entry] }) !== undefined,
    );
    const ends = usable.map(({ path, expires }) => ({ path, expires: Date.parse(expires) }));
    return ends.sort((a, b) => b.expires - a.expires).slice(0, 1);
  });
  return lasts.sort((a, b) => a.expires - b.expires)[0];
}
