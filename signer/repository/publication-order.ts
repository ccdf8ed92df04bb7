/** When a product's roles go out among the targets: after every step the service's role is signed by whom its targets name. */
import type { Metadata, Targets } from './metadata.ts';
import { productRole, productsOf } from './products.ts';
import { signatureStatus } from './signatures.ts';

export interface RoleOrder<T> {
  /** Roles that go out together with targets, by the index of these. */
  beside: Map<number, T>;
  /** Roles that go out alone once the targets of that index are there. */
  after: Map<number, T[]>;
}

/**
 * @param targets what the service has, undefined where that is not here, then the newer ones.
 * @param roles of one product: the one that the service has where it has one, then the newer ones.
 * @param has whether the service has the first of them.
 * @returns undefined when there is no such order. Roles wait for the targets where both would do: a release may need the newer policy.
 */
export function roleOrder<T extends { metadata: Metadata<Targets> }>(
  product: string,
  targets: readonly (Metadata<Targets> | undefined)[],
  roles: readonly T[],
  has: boolean,
): RoleOrder<T> | undefined {
  const order: RoleOrder<T> = { beside: new Map(), after: new Map() };
  const delegated = targets.map((one, i) =>
    one === undefined ? has && i === 0 : productsOf(one).includes(product),
  );
  const first = has ? 0 : delegated.findIndex((yes, i) => yes && i > 0);
  if (first < 0 || roles.length === 0) return order;
  const end = delegated.findIndex((yes, i) => !yes && i > first);
  const last = end < 0 ? targets.length - 1 : end - 1;
  const fits = (i: number, n: number): boolean => {
    const [one, role] = [targets[i], roles[n]];
    if (role === undefined) return false;
    return one === undefined || signatureStatus(role.metadata, productRole(one, product)).complete;
  };
  const tried = new Set<string>();
  /** From targets `i` with role `n` to the last of both; the order is written on the way back. */
  const walk = (i: number, n: number): boolean => {
    if (i === last && (end >= 0 || n === roles.length - 1)) return true;
    if (tried.has(`${i} ${n}`)) return false;
    tried.add(`${i} ${n}`);
    if (i < last && fits(i + 1, n) && walk(i + 1, n)) return true;
    const next = roles[n + 1];
    if (next === undefined) return false;
    if (i < last && fits(i + 1, n + 1) && walk(i + 1, n + 1)) {
      order.beside.set(i + 1, next);
      return true;
    }
    if (!fits(i, n + 1) || !walk(i, n + 1)) return false;
    order.after.set(i, [next, ...(order.after.get(i) ?? [])]);
    return true;
  };
  if (has) return walk(0, 0) ? order : undefined;
  const [beginning] = roles;
  if (beginning === undefined || !fits(first, 0) || !walk(first, 0)) return undefined;
  order.beside.set(first, beginning);
  return order;
}
