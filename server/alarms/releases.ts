/** Which releases name which ways back, and who depends on them. */
import { chooseFallback } from '@tidegate/rollout/shell';
import { barredDigests, type Db, type Row } from '../db/index.ts';
import type { FallbackFact } from './alarms.ts';

type Release = Pick<
  Row<'releases'>,
  'product' | 'version' | 'path' | 'sha256' | 'length' | 'security_version' | 'custom' | 'yanked_at'
>;

const UNFINISHED = ['AWAITING_APPROVAL', 'SCHEDULED', 'RUNNING', 'PAUSED', 'HALTED', 'ROLLING_BACK'] as const;

/** Ways back of every listed release, and of every other one that chargers run. */
export async function loadFallbacks(db: Db, organisation: string): Promise<FallbackFact[]> {
  const releases = await loadReleases(db, organisation);
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
  return releases.flatMap(({ product, version, sha256, custom, yanked_at }) => {
    const isRun = runs.has(`${product} ${sha256}`);
    if (yanked_at !== null && !isRun) return [];
    const used = isRun || brings.has(`${product} ${version}`);
    return custom.fallback.map(({ path, expires }) => ({
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
  const releases = await loadReleases(db, organisation, release.product);
  const found = releases.find(({ path }) => path === release.path);
  if (found === undefined) return undefined;
  const barred = await barredDigests(
    db,
    organisation,
    releases.map(({ sha256 }) => sha256),
  );
  const published = releases.map((row) => ({
    path: row.path,
    sha256: row.sha256,
    length: row.length,
    version: row.version,
    securityVersion: row.security_version,
    hardware: row.custom.hardware,
    barred: barred.has(row.sha256),
  }));
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

function loadReleases(db: Db, organisation: string, product?: string): Promise<Release[]> {
  let rows = db
    .selectFrom('releases')
    .select(['product', 'version', 'path', 'sha256', 'length', 'security_version', 'custom', 'yanked_at'])
    .where('organisation', '=', organisation);
  if (product !== undefined) rows = rows.where('product', '=', product);
  return rows.execute();
}
