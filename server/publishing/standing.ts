/**
 * Whether this service is above what its chargers trust. A database or a store that was restored from a backup is not: chargers hold
 * metadata that was published after the backup, and would refuse everything older. Design §3, "Long absence"
 *
 * One charger's word is not enough: a stolen identity must neither stop the service nor use up its version numbers.
 */
import type { PublishedVersions } from './published-versions.ts';

/** A version above the published one that an active charger says it trusts. */
export interface Claim {
  /** `root`, `targets`, `snapshot`, `timestamp`, or the charger's product. */
  role: string;
  version: number;
  serial: string;
  site: string;
}

/** Active chargers of the organisation and the sites that they stand at, each counted as far as `WITNESSES` needs. */
export interface Witnesses {
  chargers: number;
  sites: number;
}

/**
 * - `believed`: so many chargers say it that it is taken for true.
 * - `few`: possible, but too few say it. They alone get nothing.
 * - `absurd`: this service cannot have reached it, whoever says so.
 */
export type Credence = 'believed' | 'few' | 'absurd';

/** One role in which chargers are ahead. */
export interface Ahead {
  role: string;
  published: number;
  /** The highest version that is believed; else the highest that was named. */
  reported: number;
  /** Who names that version or a higher one. */
  chargers: number;
  sites: number;
  credence: Credence;
}

/** As the detector's rule for hard events has it: three chargers at two sites, or all that there are. Design §5 */
export const WITNESSES = { chargers: 3, sites: 2 } as const;
/** Clocks differ by less, in seconds. */
const SKEW = 300;
/** Most versions that people sign between two backups. */
const MOST_STEPS = 1024;

/** Every role in which a charger is ahead of what is published, whatever its word counts for. */
export function aheadOf(
  published: PublishedVersions,
  claims: readonly Claim[],
  witnesses: Witnesses,
  now: number,
): Ahead[] {
  const byRole = Map.groupBy(
    claims.filter((claim) => isAbove(published, claim)),
    ({ role }) => role,
  );
  return [...byRole].map(([role, all]) => judge(role, all, published, witnesses, now));
}

/** Whether nothing may be served: until people have published again what they signed, or the service has signed its own roles above. */
export function isBehind(ahead: readonly Ahead[]): boolean {
  return ahead.some(({ credence }) => credence === 'believed');
}

/** The believed version of a role; 0 where none is. */
export function believedVersion(ahead: readonly Ahead[], role: string): number {
  return ahead.find((each) => each.role === role && each.credence === 'believed')?.reported ?? 0;
}

export const ONLINE_ROLES: ReadonlySet<string> = new Set(['snapshot', 'timestamp']);

/**
 * The published version of a role; undefined for a product that is not published. What its chargers hold of it says nothing then: people
 * may have taken it away, and where a restored service has lost it, the targets are behind too.
 */
export function publishedVersion(published: PublishedVersions, role: string): number | undefined {
  switch (role) {
    case 'root':
    case 'targets':
    case 'snapshot':
    case 'timestamp':
      return published[role];
    default:
      return Object.hasOwn(published.roles, role) ? published.roles[role] : undefined;
  }
}

/** Whether this service, or people for it, can have signed such a version. Design §6: online versions are max(last + 1, Unix time). */
export function isPlausible(
  published: PublishedVersions,
  role: string,
  version: number,
  now: number,
): boolean {
  const last = publishedVersion(published, role) ?? 0;
  if (!ONLINE_ROLES.has(role)) return version <= last + MOST_STEPS;
  return version <= Math.max(last, Math.floor(now / 1000)) + SKEW;
}

function isAbove(published: PublishedVersions, { role, version }: Claim): boolean {
  const last = publishedVersion(published, role);
  return last !== undefined && version > last;
}

function judge(
  role: string,
  claims: readonly Claim[],
  published: PublishedVersions,
  witnesses: Witnesses,
  now: number,
): Ahead {
  const last = publishedVersion(published, role) ?? 0;
  const possible = claims
    .filter(({ version }) => isPlausible(published, role, version, now))
    .sort((a, b) => b.version - a.version);
  const needed = {
    chargers: Math.max(1, Math.min(WITNESSES.chargers, witnesses.chargers)),
    sites: Math.max(1, Math.min(WITNESSES.sites, witnesses.sites)),
  };
  for (const { version } of possible) {
    const saying = countOf(possible.filter((each) => each.version >= version));
    if (saying.chargers < needed.chargers || saying.sites < needed.sites) continue;
    return { role, published: last, reported: version, ...saying, credence: 'believed' };
  }
  const named = possible.length > 0 ? possible : claims;
  const reported = Math.max(...named.map(({ version }) => version));
  const saying = countOf(named);
  return { role, published: last, reported, ...saying, credence: possible.length > 0 ? 'few' : 'absurd' };
}

function countOf(claims: readonly Claim[]): { chargers: number; sites: number } {
  return {
    chargers: new Set(claims.map(({ serial }) => serial)).size,
    sites: new Set(claims.map(({ site }) => site)).size,
  };
}
