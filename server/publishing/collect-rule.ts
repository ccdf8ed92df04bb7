/**
 * Which files of the store nobody needs any more. Pure. Design §3, long absence.
 *
 * Never a root, never `timestamp.json`, never a file below `trust/`. A document goes only when no timestamp of the last `KEEP_DAYS` led to
 * it; an image, with its bundles and SBOM, only when its release has been yanked for as long, and no charger runs it, no live fallback names it, and
 * no unfinished rollout brings it or sends chargers back to it.
 */
import type { ReleaseTarget } from '@tidegate/client-sdk/protocol';
import { metadataKey, targetKey } from '@tidegate/signer/repository';

/**
 * A charger that was away for three months has a timestamp of then and asks for the current one; mirrors, caches and half-finished downloads may be
 * as old. Twice that is kept.
 */
export const KEEP_DAYS = 180;

const DAY_MS = 24 * 60 * 60 * 1000;

export interface Inventory {
  /** By version, oldest first; the last is current. */
  timestamps: readonly TimestampRecord[];
  /** Every release whose files are there. */
  releases: readonly { target: ReleaseTarget; yankedAt: number | null }[];
  /** Digests of what chargers run that are not retired. */
  running: ReadonlySet<string>;
  /** Digests of what unfinished rollouts bring, and of what they send chargers back to. */
  planned: ReadonlySet<string>;
}

export interface TimestampRecord {
  version: number;
  /** When it became current, in milliseconds since the epoch. */
  at: number;
  snapshot: number;
  targets: number;
  /** Version by product. */
  roles: Readonly<Record<string, number>>;
}

export interface Collectable {
  /** Versions of timestamps that nobody need remember then. */
  timestamps: number[];
  /** Keys of metadata. */
  documents: string[];
  releases: { path: string; keys: string[]; bytes: number }[];
}

/** @param now milliseconds since the epoch. */
export function collectable(inventory: Inventory, now: number): Collectable {
  const since = now - KEEP_DAYS * DAY_MS;
  const { timestamps } = inventory;
  // Each was current until the next one came.
  const isStale = (_: TimestampRecord, i: number) => (timestamps[i + 1]?.at ?? Infinity) < since;
  const stale = timestamps.filter(isStale);
  const recent = timestamps.filter((one, i) => !isStale(one, i));
  const needed = new Set(recent.flatMap(documentsOf));
  return {
    timestamps: stale.map(({ version }) => version),
    documents: [...new Set(stale.flatMap(documentsOf))].filter((key) => !needed.has(key)),
    releases: staleReleases(inventory, since, now),
  };
}

function documentsOf({ snapshot, targets, roles }: TimestampRecord): string[] {
  return [
    metadataKey('snapshot', snapshot),
    metadataKey('targets', targets),
    ...Object.entries(roles).map(([product, version]) => metadataKey(product, version)),
  ];
}

function staleReleases(
  { releases, running, planned }: Inventory,
  since: number,
  now: number,
): Collectable['releases'] {
  const used = ({ target, yankedAt }: Inventory['releases'][number]): boolean =>
    yankedAt === null || running.has(target.sha256) || planned.has(target.sha256);
  const ways = releases
    .filter(used)
    .flatMap(({ target }) => target.custom.fallback)
    .filter(({ expires }) => now < Date.parse(expires));
  const waysBack = new Set(ways.map(({ sha256 }) => sha256));
  const stale = releases.filter(
    (one) => !used(one) && !waysBack.has(one.target.sha256) && (one.yankedAt ?? now) < since,
  );
  const goes = new Set(stale.map(({ target }) => target.path));
  // Two releases may share a side file.
  const kept = new Set(
    releases.filter(({ target }) => !goes.has(target.path)).flatMap(({ target }) => keysOf(target)),
  );
  return stale.map(({ target }) => ({
    path: target.path,
    keys: keysOf(target).filter((key) => !kept.has(key)),
    bytes: [target, ...sidesOf(target)].reduce((sum, { length }) => sum + length, 0),
  }));
}

function keysOf(target: ReleaseTarget): string[] {
  return [target, ...sidesOf(target)].map(({ path, sha256 }) => targetKey(path, sha256));
}

function sidesOf({ custom }: ReleaseTarget): { path: string; sha256: string; length: number }[] {
  return [...custom.bundles, ...(custom.sbom === null ? [] : [custom.sbom])];
}
