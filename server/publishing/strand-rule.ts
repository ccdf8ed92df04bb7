/**
 * Which chargers a publication would leave without a way on. Design §2.3 and §3. Pure but for the question whether a release is accepted,
 * which is asked only where the answer matters.
 *
 * A charger **stands** as long as the image that it runs is listed and accepted: nothing has to happen to it. One whose image is not (yanked,
 * denied, below the emergency floor, of a revoked builder) keeps running it, but needs somewhere to go:
 *
 * - **up**: a listed, accepted release for its hardware, newer than its own and of no lower security version (its floor is at most that);
 * - **back**: a live signed fallback of the image that it runs, listed, accepted and for its hardware. The current role's entry says which, or,
 *   once the role has none, the last one, which the charger keeps. Below its own security version only a fallback helps that was signed
 *   before: the charger's floor was held down for that one, and for no later one.
 *
 * What was lost before is not lost by this publication, which may be the first step of repairing it: so both states are judged by
 * the same clock, and a fallback that has expired counts in neither.
 */
import { compareVersions, type Fallback, type ReleaseTarget } from '@tidegate/client-sdk/protocol';

/** Chargers of one product that are in the same situation. */
export interface Kind {
  hardware: string;
  /** Of the image that they run. Null: none was ever reported, or a factory image whose digest nobody knows. */
  sha256: string | null;
  version: string | null;
  securityVersion: number | null;
}

/** What a repository state holds for one product. */
export interface Shelf {
  /** Whether the top-level targets delegate to the product. */
  delegated: boolean;
  /** Listed releases by path. */
  listed: ReadonlyMap<string, ReleaseTarget>;
  /** Fallbacks of an image by its digest: what the role says of it, else what it last said. */
  fallbacks: (sha256: string) => readonly Fallback[];
  /** Whether a charger would accept this listed release. */
  accepts: (release: ReleaseTarget) => Promise<boolean>;
}

/**
 * - `PRODUCT_REMOVED`: nothing can be published for them any more.
 * - `NO_WAY_ON`: their image is not accepted any more, and there is nothing that they could be moved to.
 * - `NO_WAY_BACK`: they stand or can go up, but had a way back, and have none left.
 */
export type Loss = 'PRODUCT_REMOVED' | 'NO_WAY_ON' | 'NO_WAY_BACK';

/** @param now milliseconds since the epoch. */
export async function lossOf(
  kind: Kind,
  before: Shelf,
  after: Shelf,
  now: number,
): Promise<Loss | undefined> {
  if (!after.delegated) return before.delegated ? 'PRODUCT_REMOVED' : undefined;
  const signed = before.fallbacks(kind.sha256 ?? '');
  if ((await waysBack(kind, after, signed, now)).length > 0) return undefined;
  const hadWayBack = (await waysBack(kind, before, signed, now)).length > 0;
  if ((await stands(kind, after)) || (await canGoUp(kind, after))) {
    return hadWayBack ? 'NO_WAY_BACK' : undefined;
  }
  const hadWayOn = hadWayBack || (await stands(kind, before)) || (await canGoUp(kind, before));
  return hadWayOn ? 'NO_WAY_ON' : undefined;
}

async function stands({ sha256 }: Kind, shelf: Shelf): Promise<boolean> {
  const own = [...shelf.listed.values()].find((release) => release.sha256 === sha256);
  return own !== undefined && shelf.accepts(own);
}

async function canGoUp({ hardware, version, securityVersion }: Kind, shelf: Shelf): Promise<boolean> {
  const newer = [...shelf.listed.values()]
    .filter(({ custom }) => custom.hardware.includes(hardware))
    .filter(({ custom }) => version === null || compareVersions(custom.version, version) > 0)
    .filter(({ custom }) => custom.securityVersion >= (securityVersion ?? 0))
    // The newest is the likeliest to be accepted, and one is enough.
    .sort((a, b) => compareVersions(b.custom.version, a.custom.version));
  for (const release of newer) if (await shelf.accepts(release)) return true;
  return false;
}

/** @param signed fallbacks for which the charger's floor may have been held down. */
async function waysBack(
  { sha256, hardware, securityVersion }: Kind,
  shelf: Shelf,
  signed: readonly Fallback[],
  now: number,
): Promise<ReleaseTarget[]> {
  if (sha256 === null) return [];
  const ways: ReleaseTarget[] = [];
  for (const way of shelf.fallbacks(sha256)) {
    const release = shelf.listed.get(way.path);
    if (release?.sha256 !== way.sha256 || now >= Date.parse(way.expires)) continue;
    if (!release.custom.hardware.includes(hardware)) continue;
    const heldDown = signed.some((one) => one.sha256 === way.sha256);
    if (!heldDown && release.custom.securityVersion < (securityVersion ?? 0)) continue;
    if (await shelf.accepts(release)) ways.push(release);
  }
  return ways;
}

/** A release that is not taken away from chargers, but from what is planned for them. */
export interface LostRelease {
  release: ReleaseTarget;
  /** - `ROLLOUT`: a rollout brings it. - `FALLBACK`: the release of this path, which may be rolled out any time, falls back to it. */
  neededBy: { kind: 'ROLLOUT'; rollout: string } | { kind: 'FALLBACK'; path: string };
}

/**
 * What rollouts bring, and the live ways back of releases that may be rolled out, as far as they were accepted before and are not any more.
 * @param rollouts those that may still let chargers in, by the version that they bring.
 */
export async function lostReleases(
  rollouts: ReadonlyMap<string, string>,
  before: Shelf,
  after: Shelf,
  now: number,
): Promise<LostRelease[]> {
  if (!after.delegated) return [];
  const lost: LostRelease[] = [];
  const isLost = async (release: ReleaseTarget): Promise<boolean> => {
    const still = after.listed.get(release.path);
    if (still !== undefined && (await after.accepts(still))) return false;
    return before.accepts(release);
  };
  for (const release of before.listed.values()) {
    const rollout = rollouts.get(release.custom.version);
    if (rollout === undefined || !(await isLost(release))) continue;
    lost.push({ release, neededBy: { kind: 'ROLLOUT', rollout } });
  }
  for (const { path, sha256 } of after.listed.values()) {
    for (const way of after.fallbacks(sha256)) {
      const release = before.listed.get(way.path);
      if (release === undefined || now >= Date.parse(way.expires) || !(await isLost(release))) continue;
      const from = after.listed.get(path);
      // The way down of what nobody can be offered any more is nobody's way down.
      if (from === undefined || !(await after.accepts(from))) continue;
      lost.push({ release, neededBy: { kind: 'FALLBACK', path } });
    }
  }
  return lost;
}
