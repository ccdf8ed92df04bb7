/** New documents, and the next version of one. Nothing here signs. */
import { createHash } from 'node:crypto';
import { keyIdOf, tufKeyOf } from '@tidegate/client-sdk/trust';
import type { PublicKey } from '../keys/index.ts';
import { RepositoryError } from './errors.ts';
import { expiryOf, type Lifetime } from './lifetimes.ts';
import {
  encode,
  type MetaFile,
  type Metadata,
  type Root,
  type RoleKeys,
  type Signed,
  type Snapshot,
  SPEC_VERSION,
  type Targets,
  type Timestamp,
  TOP_LEVEL_ROLES,
  type TopLevelRole,
  type TufKey,
} from './metadata.ts';

/** The keys of a role and how many of them must sign. */
export interface Quorum {
  keys: Pick<PublicKey, 'publicKey'>[];
  threshold: number;
}

/**
 * The first root.
 * @param now milliseconds since the epoch, here and below.
 * @throws RepositoryError `THRESHOLD_INVALID`.
 */
export function newRoot(roles: Record<TopLevelRole, Quorum>, now: number): Metadata<Root> {
  const keys: Record<string, TufKey> = {};
  const roleKeys = {} as Record<TopLevelRole, RoleKeys>;
  for (const role of TOP_LEVEL_ROLES) {
    const named = nameKeys(role, roles[role]);
    Object.assign(keys, named.keys);
    roleKeys[role] = named.roleKeys;
  }
  return unsigned({ ...header('root', 'root', 1, now), consistent_snapshot: true, keys, roles: roleKeys });
}

/** The first top-level targets: no product yet. */
export function newTargets(now: number): Metadata<Targets> {
  return unsigned({
    ...header('targets', 'targets', 1, now),
    targets: {},
    delegations: { keys: {}, roles: [] },
  });
}

/** The first role of a product: no release yet. It delegates nothing further. */
export function newProductRole(now: number): Metadata<Targets> {
  return unsigned({ ...header('targets', 'product', 1, now), targets: {} });
}

/**
 * What is current.
 * @param targets the top-level role as it is published.
 * @param products by product: the role, or what an earlier snapshot said of it.
 */
export function newSnapshot(
  contents: {
    targets: Uint8Array | Metadata<Targets>;
    products: ReadonlyMap<string, Uint8Array | MetaFile>;
  },
  version: number,
  now: number,
): Metadata<Snapshot> {
  const targets = contents.targets instanceof Uint8Array ? contents.targets : encode(contents.targets);
  const meta: Record<string, MetaFile> = { 'targets.json': metaFileOf(targets) };
  for (const [product, role] of contents.products) {
    meta[`${product}.json`] = role instanceof Uint8Array ? metaFileOf(role) : role;
  }
  return unsigned({ ...header('snapshot', 'snapshot', version, now), meta });
}

export function newTimestamp(snapshot: Uint8Array, version: number, now: number): Metadata<Timestamp> {
  return unsigned({
    ...header('timestamp', 'timestamp', version, now),
    meta: { 'snapshot.json': metaFileOf(snapshot) },
  });
}

/** The next version of a document with a full life before it; it has to be signed anew. */
export function bump<T extends Signed>(
  metadata: Metadata<T>,
  lifetime: Lifetime,
  now: number,
  version: number = metadata.signed.version + 1,
): Metadata<T> {
  return unsigned({ ...metadata.signed, version, expires: expiryOf(lifetime, now) });
}

/** @throws RepositoryError `THRESHOLD_INVALID`. */
export function nameKeys(
  role: string,
  { keys, threshold }: Quorum,
): { keys: Record<string, TufKey>; roleKeys: RoleKeys } {
  const named: Record<string, TufKey> = {};
  for (const key of keys) {
    const tufKey = tufKeyOf(key.publicKey);
    named[keyIdOf(tufKey)] = tufKey;
  }
  const keyids = Object.keys(named);
  if (!Number.isInteger(threshold) || threshold < 1 || threshold > keyids.length) {
    throw new RepositoryError('THRESHOLD_INVALID', `${role} ${threshold} of ${keyids.length}`);
  }
  return { keys: named, roleKeys: { keyids, threshold } };
}

function header<T extends Signed['_type']>(type: T, lifetime: Lifetime, version: number, now: number) {
  return { _type: type, spec_version: SPEC_VERSION, version, expires: expiryOf(lifetime, now) };
}

function unsigned<T extends Signed>(signed: T): Metadata<T> {
  return { signed, signatures: [] };
}

/** Length and digest as well as version, so that a stolen snapshot key cannot pair old documents with new ones. TUF 4.4 */
function metaFileOf(bytes: Uint8Array): MetaFile {
  const { signed } = JSON.parse(Buffer.from(bytes).toString('utf8')) as Metadata;
  return {
    version: signed.version,
    length: bytes.length,
    hashes: { sha256: createHash('sha256').update(bytes).digest('hex') },
  };
}
