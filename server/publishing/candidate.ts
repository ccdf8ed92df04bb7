/**
 * The repository as it would be after a publication. It is put together in memory, and what it changes is walked exactly as a charger
 * walks it; only what survives that is ever written. Roles that it does not touch were walked when they were published.
 */
import { POLICY_TARGET, SIGSTORE_ROOT_TARGET, type TrustPolicy } from '@tidegate/client-sdk/protocol';
import { parsePolicy, TrustedSet } from '@tidegate/client-sdk/trust';
import { LIFETIME_DAYS } from '@tidegate/signer/repository';
import { ApiError } from '../http/index.ts';
import { type Current, type Documents, sha256Of } from './current.ts';
import { merge, type Merged } from './merge.ts';
import { makeSnapshot, makeTimestamp, nextOnlineVersion, type OnlineDocument } from './online.ts';
import type { Publication, PublishingDeps } from './types.ts';
import { freeVersion } from './versions.ts';

export interface Candidate extends Pick<
  Merged,
  'roots' | 'documents' | 'changedRoles' | 'redelegated' | 'removed'
> {
  versions: { root: number; targets: number; roles: Record<string, number> };
  snapshot: OnlineDocument;
  timestamp: OnlineDocument;
  /** Trusts everything that is new here. Of the product roles it holds the changed and the newly delegated ones only. */
  set: TrustedSet;
  policy: TrustPolicy;
  /** By product, the changed ones. */
  newRoles: ReadonlyMap<string, { version: number; bytes: Buffer }>;
}

/**
 * @param current undefined for the first publication of all.
 * @returns undefined when the publication holds nothing that is not published already.
 * @throws Refusal whatever a charger would refuse · ApiError `ROLE_VERSION`, `LIFETIME_TOO_LONG`, `PRODUCT_UNKNOWN`, `METADATA_REFUSED`
 */
export async function assemble(
  deps: Pick<PublishingDeps, 'keys' | 'blobs'>,
  current: Current | undefined,
  publication: Publication,
  now: number,
): Promise<Candidate | undefined> {
  const next = await merge(deps, current, publication);
  if (next.unchanged) return undefined;
  const set = startSet(current, next.roots);
  requireOnlineKeys(set, deps.keys);
  const online = await signOnline(deps, current, next, now);
  set.updateTimestamp(online.timestamp.bytes, now);
  set.updateSnapshot(online.snapshot.bytes, now);
  set.updateTargets(next.documents.targets, now);
  requireTrustFiles(set, next.documents);
  walkProducts(set, next, now);
  requireLifetimes(set, next.changedRoles, now);
  const { roots, documents, changedRoles, redelegated, removed } = next;
  return {
    roots,
    documents,
    changedRoles,
    redelegated,
    removed,
    ...online,
    versions: { root: set.root.version, targets: set.targets.version, roles: versionsOf(set, next) },
    set,
    policy: parsePolicy(documents.policy),
    newRoles: newRolesOf(set, next),
  };
}

async function signOnline(
  deps: Pick<PublishingDeps, 'keys' | 'blobs'>,
  current: Current | undefined,
  { documents, roles, departed }: Merged,
  now: number,
): Promise<Pick<Candidate, 'snapshot' | 'timestamp'>> {
  const version = nextOnlineVersion(current?.row.snapshot_version ?? 0, now);
  const snapshot = await makeSnapshot(
    { targets: documents.targets, products: new Map([...departed, ...roles]) },
    await freeVersion(deps, 'snapshot', version),
    deps.keys.snapshot,
    now,
  );
  const timestamp = await makeTimestamp(
    snapshot.bytes,
    nextOnlineVersion(current?.row.timestamp_version ?? 0, now),
    deps.keys.timestamp,
    now,
  );
  return { snapshot, timestamp };
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** The engineer's clock may be ahead of ours. */
const SKEW_MS = DAY_MS;

/** Offline roles live at most 90 days, so that a thief of the online keys cannot hold a fleet back for longer. Design §3 */
function requireLifetimes(set: TrustedSet, changedRoles: readonly string[], now: number): void {
  const roles = [
    ['root', set.root.expires, LIFETIME_DAYS.root],
    ['targets', set.targets.expires, LIFETIME_DAYS.targets],
    ...changedRoles.map(
      (product) => [product, set.productRole(product).expires, LIFETIME_DAYS.product] as const,
    ),
  ] as const;
  for (const [role, expires, days] of roles) {
    if (expires - now <= days * DAY_MS + SKEW_MS) continue;
    throw new ApiError('LIFETIME_TOO_LONG', `${role} would live until ${new Date(expires).toISOString()}.`);
  }
}

function startSet(current: Current | undefined, roots: { bytes: Buffer }[]): TrustedSet {
  const [first, ...rest] = current === undefined ? roots.map(({ bytes }) => bytes) : [current.documents.root];
  if (first === undefined) throw new ApiError('METADATA_REFUSED', 'There is no root.', { pointer: '/roots' });
  const set = TrustedSet.start(first);
  for (const bytes of current === undefined ? rest : roots.map((root) => root.bytes)) set.updateRoot(bytes);
  return set;
}

/** Else the service could not say what is current, and every charger would stay where it is. */
export function requireOnlineKeys(set: TrustedSet, keys: PublishingDeps['keys']): void {
  for (const role of ['snapshot', 'timestamp'] as const) {
    if (set.root.roles[role].keyids.includes(keys[role].keyId)) continue;
    throw new ApiError('METADATA_REFUSED', `The root does not name this service's ${role} key.`, {
      pointer: '/roots',
    });
  }
}

function requireTrustFiles(set: TrustedSet, documents: Documents): void {
  const files = [
    [POLICY_TARGET, '/policy', documents.policy],
    [SIGSTORE_ROOT_TARGET, '/sigstoreRoot', documents.sigstoreRoot],
  ] as const;
  for (const [path, pointer, bytes] of files) {
    const listed = set.topTarget(path);
    if (listed.length === bytes.length && listed.sha256 === sha256Of(bytes)) continue;
    throw new ApiError('METADATA_REFUSED', `${path} is not the file that the targets list.`, { pointer });
  }
}

/**
 * An unchanged role may have expired meanwhile; that is not this publication's doing, and must not keep others from being published.
 * So only changed roles are judged by the time.
 */
function walkProducts(set: TrustedSet, { roles, changedRoles }: Merged, now: number): void {
  for (const [product, role] of roles) {
    if (!(role instanceof Uint8Array)) continue;
    set.updateProductRole(product, role, changedRoles.includes(product) ? now : 0);
  }
}

function versionsOf(set: TrustedSet, { roles }: Merged): Record<string, number> {
  const versions = [...roles].map(([product, role]) => [
    product,
    role instanceof Uint8Array ? set.productRole(product).version : role.version,
  ]);
  return Object.fromEntries(versions) as Record<string, number>;
}

function newRolesOf(set: TrustedSet, { roles, changedRoles }: Merged): Candidate['newRoles'] {
  const found = new Map<string, { version: number; bytes: Buffer }>();
  for (const product of changedRoles) {
    const bytes = roles.get(product);
    if (bytes instanceof Uint8Array) found.set(product, { version: set.productRole(product).version, bytes });
  }
  return found;
}
