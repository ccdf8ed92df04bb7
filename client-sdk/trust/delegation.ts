/** How a product's role must be delegated, and which of its targets count. Design §3. */
import { Refusal } from '../protocol/index.ts';
import type { TargetsMetadata } from './metadata.ts';
import type { Delegation, TargetFile } from './role-parts.ts';

/** A charger reads SHA-256 only. */
type OwnTarget = TargetFile & { sha256: string };

/**
 * The delegation of a product's role, read by name: nothing else that top-level targets delegates can speak for the product.
 * @throws Refusal DELEGATION_INVALID
 */
export function delegationOf(targets: TargetsMetadata, product: string): Delegation {
  const named = targets.delegations?.roles.filter((role) => role.name === product) ?? [];
  const [delegation] = named;
  if (delegation === undefined || named.length !== 1) {
    throw new Refusal('DELEGATION_INVALID', `${named.length} roles are named ${product}`);
  }
  if (delegation.paths?.length !== 1 || delegation.paths[0] !== `${product}/*`) {
    throw new Refusal('DELEGATION_INVALID', `${product} is not delegated exactly ${product}/*`);
  }
  if (!delegation.terminating) throw new Refusal('DELEGATION_INVALID', `${product} is not terminating`);
  return delegation;
}

/** @throws Refusal DELEGATION_INVALID when the product role hands its right on. */
export function refuseFurtherDelegation(role: TargetsMetadata, product: string): void {
  if (role.delegations !== undefined && role.delegations.roles.length > 0) {
    throw new Refusal('DELEGATION_INVALID', `${product} delegates further`);
  }
}

/**
 * A target that the product role may list: directly below the product. TUF 4.5: `*` does not match `/`.
 * @throws Refusal TARGET_UNKNOWN
 */
export function targetOf(role: TargetsMetadata, product: string, path: string): OwnTarget {
  const inside = path.startsWith(`${product}/`) && !path.includes('/', product.length + 1);
  const target = inside ? role.targets.get(path) : undefined;
  if (!isOwn(target)) throw new Refusal('TARGET_UNKNOWN', `${product} does not list ${path}`);
  return target;
}

/**
 * `trust/*` counts from top-level targets only.
 * @throws Refusal TARGET_UNKNOWN
 */
export function topTargetOf(targets: TargetsMetadata, path: string): OwnTarget {
  const target = path.startsWith('trust/') ? targets.targets.get(path) : undefined;
  if (!isOwn(target)) throw new Refusal('TARGET_UNKNOWN', `top-level targets do not list ${path}`);
  return target;
}

function isOwn(target: TargetFile | undefined): target is OwnTarget {
  return target?.sha256 !== undefined;
}
