/** From what people ask for to the documents that have to be signed. */
import type { TrustPolicy } from '@tidegate/client-sdk/protocol';
import { canonicalBytes, parsePolicy } from '@tidegate/client-sdk/trust';
import {
  bump,
  expiryOf,
  type Metadata,
  newProductRole,
  type Root,
  same,
  signatureStatus,
  type Targets,
} from '../repository/index.ts';
import {
  type Authority,
  authorityOf,
  encodePolicy,
  lifeOf,
  productsIn,
  quorumOf,
  rootOf,
  targetsOf,
  type TrustState,
} from './authority.ts';
import { applyChanges, type Change, requireSound } from './changes.ts';
import { CeremonyError } from './errors.ts';
import type { CeremonyFile, NextDocuments } from './file.ts';

export interface Wish {
  changes: readonly Change[];
  /** Documents that get a new version and a full life although nothing else changes in them; `all`: every one. */
  renew: readonly string[] | 'all';
  reason: string;
  hardware?: Record<string, string[]>;
  /** Every role that ever had a document here: a charger that has seen a removed product's role never takes a first version of it again. */
  used?: Iterable<string>;
}

/**
 * The next version of everything that changes, unsigned.
 * @param now milliseconds since the epoch.
 * @throws CeremonyError as `applyChanges`, and `NOTHING_CHANGES`, `ROLE_UNKNOWN`, `PRODUCT_RETIRED`; Refusal `POLICY_MALFORMED`.
 */
export function startCeremony(state: TrustState, wish: Wish, now: number): CeremonyFile {
  const before = authorityOf(state);
  const edited = withPolicyVersion(before, applyChanges(before, wish.changes));
  const after = nextDocuments({ state, before, after: edited, wish, now });
  if (isNothing(after)) throw new CeremonyError('NOTHING_CHANGES', 'Ceremony');
  const concerned = productsIn(before).filter((product) => concerns(product, before, edited, after));
  const products = Object.fromEntries(
    Object.entries(state.products).filter(([product]) => concerned.includes(product)),
  );
  return {
    _type: 'tidegate-ceremony',
    reason: wish.reason,
    before: { ...state, products },
    after,
    hardware: wish.hardware ?? {},
  };
}

/**
 * The very first ceremony: everything is version 1.
 * @throws CeremonyError as `applyChanges`.
 */
export function firstCeremony(authority: Authority, wish: Wish, now: number): CeremonyFile {
  const after = applyChanges(authority, wish.changes);
  const policyText = encodePolicy(after.policy);
  const complete = { ...after, policyText };
  requireSound(complete);
  return {
    _type: 'tidegate-ceremony',
    reason: wish.reason,
    after: {
      root: unsigned(rootOf(complete, undefined, { version: 1, expires: expiryOf('root', now) })),
      targets: unsigned(targetsOf(complete, undefined, { version: 1, expires: expiryOf('targets', now) })),
      policy: policyText,
      sigstoreRoot: complete.sigstoreRoot,
      products: Object.fromEntries(productsIn(complete).map((product) => [product, newProductRole(now)])),
    },
    hardware: wish.hardware ?? {},
  };
}

interface Making {
  state: TrustState;
  before: Authority;
  after: Authority;
  wish: Wish;
  now: number;
}

function nextDocuments(making: Making): NextDocuments {
  const { state, before, after, wish } = making;
  for (const name of wish.renew === 'all' ? [] : wish.renew) {
    if (name === 'root' || name === 'targets' || productsIn(after).includes(name)) continue;
    throw new CeremonyError('ROLE_UNKNOWN', name);
  }
  const root = nextRoot(making);
  const targets = nextTargets(making);
  return {
    ...(root === undefined ? {} : { root }),
    ...(targets === undefined ? {} : { targets }),
    ...(after.policyText === before.policyText ? {} : { policy: after.policyText }),
    ...(after.sigstoreRoot === state.sigstoreRoot ? {} : { sigstoreRoot: after.sigstoreRoot }),
    products: nextRoles(making),
  };
}

function nextRoot({ state, before, after, wish, now }: Making): Metadata<Root> | undefined {
  const { signed } = state.root;
  const changed = !same(rootOf(after, signed, lifeOf(signed)), rootOf(before, signed, lifeOf(signed)));
  if (!changed && !isRenewed(wish, 'root')) return undefined;
  return unsigned(rootOf(after, signed, { version: signed.version + 1, expires: expiryOf('root', now) }));
}

/** Signed anew also where the signatures that it has no longer suffice. */
function nextTargets({ state, before, after, wish, now }: Making): Metadata<Targets> | undefined {
  const { signed } = state.targets;
  const changed = !same(targetsOf(after, signed, lifeOf(signed)), targetsOf(before, signed, lifeOf(signed)));
  const suffices = signatureStatus(state.targets, quorumOf(after, 'targets')).complete;
  if (!changed && suffices && !isRenewed(wish, 'targets')) return undefined;
  return unsigned(
    targetsOf(after, signed, { version: signed.version + 1, expires: expiryOf('targets', now) }),
  );
}

function nextRoles({ state, after, wish, now }: Making): Record<string, Metadata<Targets>> {
  const next: Record<string, Metadata<Targets>> = {};
  for (const product of productsIn(after)) {
    const role = state.products[product];
    if (role === undefined) {
      if (new Set(wish.used).has(product)) throw new CeremonyError('PRODUCT_RETIRED', product);
      next[product] = newProductRole(now);
    } else if (isRenewed(wish, product) || !signatureStatus(role, quorumOf(after, product)).complete) {
      next[product] = bump(role, 'product', now);
    }
  }
  return next;
}

function isRenewed({ renew }: Wish, name: string): boolean {
  return renew === 'all' || renew.includes(name);
}

/** The policy's version rises by one with each ceremony that changes it. */
function withPolicyVersion(before: Authority, after: Authority): Authority {
  if (samePolicy(before.policy, after.policy)) return { ...after, policyText: before.policyText };
  const policy = { ...after.policy, version: before.policy.version + 1 };
  const policyText = encodePolicy(policy);
  return { ...after, policy: parsePolicy(Buffer.from(policyText)), policyText };
}

function samePolicy(a: TrustPolicy, b: TrustPolicy): boolean {
  return canonicalBytes(a).equals(canonicalBytes(b));
}

/** Whether its signers need to see the product's role: it changes, or somebody else signs it. */
export function concerns(product: string, before: Authority, after: Authority, next: NextDocuments): boolean {
  if (Object.hasOwn(next.products, product)) return true;
  const [old, now] = [before.roles.get(product), after.roles.get(product)];
  return old !== undefined && now !== undefined && !same(old, now);
}

function isNothing({ root, targets, policy, sigstoreRoot, products }: NextDocuments): boolean {
  const some = [root, targets, policy, sigstoreRoot].some((document) => document !== undefined);
  return !some && Object.keys(products).length === 0;
}

function unsigned<T extends Root | Targets>(signed: T): Metadata<T> {
  return { signed, signatures: [] };
}
