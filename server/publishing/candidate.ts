/**
 * The repository as it would be after a publication. It is put together in memory and walked exactly as a charger walks it; only
 * what survives that is ever written.
 */
import {
  POLICY_TARGET,
  SIGSTORE_ROOT_TARGET,
  refusing,
  type TrustPolicy,
} from '@tidegate/client-sdk/protocol';
import { parsePolicy, TrustedSet } from '@tidegate/client-sdk/trust';
import { LIFETIME_DAYS } from '@tidegate/signer/repository';
import { ApiError } from '../http/index.ts';
import { type Current, type Documents, sha256Of } from './current.ts';
import { makeSnapshot, makeTimestamp, nextOnlineVersion, type OnlineDocument } from './online.ts';
import type { Publication, PublishingDeps } from './types.ts';

export interface Candidate {
  /** New roots, oldest first. */
  roots: { version: number; bytes: Buffer }[];
  documents: Documents;
  versions: { root: number; targets: number; roles: Record<string, number> };
  snapshot: OnlineDocument;
  timestamp: OnlineDocument;
  /** Trusts everything here; product roles included. */
  set: TrustedSet;
  policy: TrustPolicy;
  /** Products whose role is another one than before. */
  changedRoles: string[];
}

/**
 * @param current undefined for the first publication of all.
 * @returns undefined when the publication holds nothing that is not published already.
 * @throws Refusal whatever a charger would refuse · ApiError `ROLE_VERSION`, `LIFETIME_TOO_LONG`, `PRODUCT_UNKNOWN`, `METADATA_REFUSED`
 */
export async function assemble(
  deps: Pick<PublishingDeps, 'keys'>,
  current: Current | undefined,
  publication: Publication,
  now: number,
): Promise<Candidate | undefined> {
  const next = merge(current, publication);
  if (next.unchanged) return undefined;
  const set = startSet(current, next.roots);
  requireOnlineKeys(set, deps.keys);
  const snapshot = await makeSnapshot(
    next.documents,
    nextOnlineVersion(current?.row.snapshot_version ?? 0, now),
    deps.keys.snapshot,
    now,
  );
  const timestamp = await makeTimestamp(
    snapshot.bytes,
    nextOnlineVersion(current?.row.timestamp_version ?? 0, now),
    deps.keys.timestamp,
    now,
  );
  set.updateTimestamp(timestamp.bytes, now);
  set.updateSnapshot(snapshot.bytes, now);
  set.updateTargets(next.documents.targets, now);
  requireTrustFiles(set, next.documents);
  walkProducts(set, next.documents.roles, next.changedRoles, now);
  requireLifetimes(set, next.changedRoles, now);
  return {
    roots: next.roots,
    documents: next.documents,
    versions: {
      root: set.root.version,
      targets: set.targets.version,
      roles: Object.fromEntries([...next.documents.roles.keys()].map((p) => [p, set.productRole(p).version])),
    },
    snapshot,
    timestamp,
    set,
    policy: parsePolicy(next.documents.policy),
    changedRoles: next.changedRoles,
  };
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

interface Merged {
  roots: { version: number; bytes: Buffer }[];
  documents: Documents;
  changedRoles: string[];
  unchanged: boolean;
}

/** Lays the publication over what is there. Every document is byte-identical to the published one, or exactly one version above. */
function merge(current: Current | undefined, publication: Publication): Merged {
  const before = current?.documents;
  const roots = newRoots(before?.root, publication.roots);
  const targets = successor('/targets', before?.targets, publication.targets);
  const policy = replaced('/policy', before?.policy, publication.policy);
  const sigstoreRoot = replaced('/sigstoreRoot', before?.sigstoreRoot, publication.sigstoreRoot);
  const roles = new Map(before?.roles);
  const changedRoles: string[] = [];
  for (const [product, text] of Object.entries(publication.products)) {
    const bytes = successor(`/products/${product}`, before?.roles.get(product), text);
    if (bytes !== before?.roles.get(product)) changedRoles.push(product);
    roles.set(product, bytes);
  }
  // A product that these targets no longer delegate to goes; what runs its images is named later.
  const delegated = delegatedNames(targets);
  for (const product of roles.keys()) {
    if (delegated.includes(product)) continue;
    if (changedRoles.includes(product)) {
      throw new ApiError('PRODUCT_UNKNOWN', `The top-level targets do not delegate to ${product}.`, {
        pointer: `/products/${product}`,
      });
    }
    roles.delete(product);
  }
  const missing = delegated.find((product) => !roles.has(product));
  if (missing !== undefined) {
    throw new ApiError('METADATA_REFUSED', `The targets delegate to ${missing}, whose role is not here.`, {
      pointer: `/products/${missing}`,
    });
  }
  const root = roots.at(-1)?.bytes ?? before?.root ?? Buffer.alloc(0);
  const unchanged =
    roots.length === 0 &&
    changedRoles.length === 0 &&
    targets === before?.targets &&
    policy === before.policy &&
    sigstoreRoot === before.sigstoreRoot;
  return { roots, changedRoles, unchanged, documents: { root, targets, policy, sigstoreRoot, roles } };
}

function newRoots(before: Buffer | undefined, texts: string[]): { version: number; bytes: Buffer }[] {
  let last = before === undefined ? 0 : peekVersion(before);
  const roots: { version: number; bytes: Buffer }[] = [];
  for (const [i, text] of texts.entries()) {
    const bytes = Buffer.from(text);
    if (before?.equals(bytes)) continue;
    const version = peekVersion(bytes);
    if (version !== last + 1) throw wrongVersion(`/roots/${i}`, version, last);
    roots.push({ version, bytes });
    last = version;
  }
  return roots;
}

function successor(pointer: string, before: Buffer | undefined, text: string | null): Buffer {
  const bytes = replaced(pointer, before, text);
  if (bytes === before) return bytes;
  const version = peekVersion(bytes);
  const last = before === undefined ? 0 : peekVersion(before);
  if (version !== last + 1) throw wrongVersion(pointer, version, last);
  return bytes;
}

function replaced(pointer: string, before: Buffer | undefined, text: string | null): Buffer {
  if (text !== null) {
    const bytes = Buffer.from(text);
    return before?.equals(bytes) ? before : bytes;
  }
  if (before === undefined) {
    throw new ApiError('METADATA_REFUSED', 'The first publication needs every document.', { pointer });
  }
  return before;
}

function wrongVersion(pointer: string, version: number, last: number): ApiError {
  return new ApiError('ROLE_VERSION', `Version ${version} after ${last}.`, { pointer });
}

/** Reads the version before anything is verified, only to compare it. */
function peekVersion(bytes: Buffer): number {
  return refusing('METADATA_MALFORMED', 'No version', () => {
    const { signed } = JSON.parse(bytes.toString('utf8')) as { signed: { version: unknown } };
    if (!Number.isSafeInteger(signed.version)) throw new TypeError('version');
    return signed.version as number;
  });
}

function delegatedNames(targets: Buffer): string[] {
  return refusing('METADATA_MALFORMED', 'Delegations', () => {
    const { signed } = JSON.parse(targets.toString('utf8')) as {
      signed: { delegations?: { roles: { name: string }[] } };
    };
    return (signed.delegations?.roles ?? []).map(({ name }) => name);
  });
}

function startSet(current: Current | undefined, roots: { bytes: Buffer }[]): TrustedSet {
  const [first, ...rest] = current === undefined ? roots.map(({ bytes }) => bytes) : [current.documents.root];
  if (first === undefined) throw new ApiError('METADATA_REFUSED', 'There is no root.', { pointer: '/roots' });
  const set = TrustedSet.start(first);
  for (const bytes of current === undefined ? rest : roots.map((root) => root.bytes)) set.updateRoot(bytes);
  return set;
}

/** Else the service could not say what is current, and every charger would stay where it is. */
function requireOnlineKeys(set: TrustedSet, keys: PublishingDeps['keys']): void {
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
function walkProducts(
  set: TrustedSet,
  roles: ReadonlyMap<string, Buffer>,
  changed: readonly string[],
  now: number,
): void {
  for (const [product, bytes] of roles) {
    set.updateProductRole(product, bytes, changed.includes(product) ? now : 0);
  }
}
