/** Delegations: which product exists, and who signs for it. */
import { PRODUCT } from '@tidegate/client-sdk/protocol';
import { nameKeys, type Quorum } from './author.ts';
import { RepositoryError } from './errors.ts';
import type { Metadata, Root, RoleKeys, Targets, TopLevelRole, TufKey } from './metadata.ts';

/** The keys that may sign one role, as `addSignature` and `signatureStatus` take them. */
export interface Role extends RoleKeys {
  name: string;
  keys: ReadonlyMap<string, TufKey>;
}

/**
 * Adds a product: one role of its name, over its own paths and nothing else, terminating. Design §3
 * The result has to be bumped and signed by the keys of `targets`.
 * @throws RepositoryError `PRODUCT_NAME`, `PRODUCT_EXISTS`, `THRESHOLD_INVALID`.
 */
export function delegateProduct(
  targets: Metadata<Targets>,
  product: string,
  quorum: Quorum,
): Metadata<Targets> {
  if (!PRODUCT.test(product)) throw new RepositoryError('PRODUCT_NAME', product);
  const before = targets.signed.delegations ?? { keys: {}, roles: [] };
  if (before.roles.some((role) => role.name === product))
    throw new RepositoryError('PRODUCT_EXISTS', product);
  const { keys, roleKeys } = nameKeys(product, quorum);
  const role = { name: product, ...roleKeys, paths: [`${product}/*`], terminating: true };
  const delegations = { keys: { ...before.keys, ...keys }, roles: [...before.roles, role] };
  return { signed: { ...targets.signed, delegations }, signatures: [] };
}

/** Names of the delegated products. */
export function productsOf(targets: Metadata<Targets>): string[] {
  return (targets.signed.delegations?.roles ?? []).map((role) => role.name);
}

export function topLevelRole(root: Metadata<Root>, name: TopLevelRole): Role {
  return { name, ...root.signed.roles[name], keys: new Map(Object.entries(root.signed.keys)) };
}

/** @throws RepositoryError `PRODUCT_UNKNOWN`. */
export function productRole(targets: Metadata<Targets>, product: string): Role {
  const { delegations } = targets.signed;
  const found = delegations?.roles.find((role) => role.name === product);
  if (delegations === undefined || found === undefined) throw new RepositoryError('PRODUCT_UNKNOWN', product);
  const { keyids, threshold } = found;
  return { name: product, keyids, threshold, keys: new Map(Object.entries(delegations.keys)) };
}
