/** What people ask for, as edits of an authority. */
import { POLICY_TARGET, PRODUCT, type ProductPolicy } from '@tidegate/client-sdk/protocol';
import { tufKeyOf } from '@tidegate/client-sdk/trust';
import { type PublicKey, publicKeyOf } from '../keys/index.ts';
import { RepositoryError, type RoleKeys, type TufKey } from '../repository/index.ts';
import { type Authority, isTopLevel, productsIn, roleOf } from './authority.ts';
import { CeremonyError } from './errors.ts';
import { begins, oneKey } from './key-ids.ts';
import { applyPolicyChange, type PolicyChange, withoutProduct } from './policy-changes.ts';

export interface Holder {
  name: string;
  key: PublicKey;
}

/** `roles`: root, targets, products; left out: every role in which the person has a key. */
export type Change =
  | { kind: 'add-person'; holder: Holder; roles: string[] }
  | { kind: 'remove-person'; person: string; roles?: string[] }
  | { kind: 'replace-key'; holder: Holder; roles?: string[] }
  | { kind: 'threshold'; role: string; threshold: number }
  | { kind: 'add-online-key'; role: 'snapshot' | 'timestamp'; key: PublicKey }
  | { kind: 'remove-online-key'; role: 'snapshot' | 'timestamp'; keyId: string }
  | { kind: 'add-product'; product: string; holders: Holder[]; threshold: number; policy: ProductPolicy }
  | { kind: 'remove-product'; product: string }
  | { kind: 'sigstore-root'; text: string }
  | PolicyChange;

/**
 * Applies the changes one after the other. Thresholds are judged at the end: a person may go before another comes.
 * @throws CeremonyError; RepositoryError `PRODUCT_NAME`.
 */
export function applyChanges(authority: Authority, changes: readonly Change[]): Authority {
  const after = changes.reduce(applyChange, authority);
  requireSound(after);
  return after;
}

function applyChange(authority: Authority, change: Change): Authority {
  switch (change.kind) {
    case 'add-person':
      return change.roles.reduce((now, role) => withKey(now, offline(role), change.holder), authority);
    case 'remove-person':
      return removePerson(authority, change.person, change.roles);
    case 'replace-key':
      return replaceKey(authority, change.holder, change.roles);
    case 'threshold':
      return withRole(authority, change.role, {
        ...roleOf(authority, change.role),
        threshold: change.threshold,
      });
    case 'add-online-key':
      return withKey(authority, change.role, { name: 'service', key: change.key });
    case 'remove-online-key': {
      const { keyids } = roleOf(authority, change.role);
      return withoutKeys(authority, change.role, [oneKey(keyids, change.keyId)]);
    }
    case 'add-product':
      return addProduct(authority, change);
    case 'remove-product':
      return removeProduct(authority, change.product);
    case 'sigstore-root':
      return { ...authority, sigstoreRoot: change.text };
    default:
      return { ...authority, policy: applyPolicyChange(authority.policy, change) };
  }
}

/** People do not hold the service's keys. */
function offline(role: string): string {
  if (role !== 'snapshot' && role !== 'timestamp') return role;
  throw new CeremonyError('ROLE_UNKNOWN', `${role} is the service's own`);
}

function withKey(authority: Authority, role: string, { name, key }: Holder): Authority {
  const tufKey = tufKeyOf(key.publicKey);
  const { keyids, threshold } = roleOf(authority, role);
  const holder = authority.people.get(key.keyId);
  if (holder !== undefined && holder !== name) {
    throw new CeremonyError('KEY_TWICE', `Key ${key.keyId.slice(0, 8)} of ${name} is ${holder}'s`);
  }
  if (keyids.includes(key.keyId)) {
    throw new CeremonyError('KEY_TWICE', `Key ${key.keyId.slice(0, 8)} signs ${role} already`);
  }
  return withRole(
    {
      ...authority,
      keys: new Map<string, TufKey>([...authority.keys, [key.keyId, tufKey]]),
      people: new Map([...authority.people, [key.keyId, name]]),
    },
    role,
    { keyids: [...keyids, key.keyId], threshold },
  );
}

function withRole(authority: Authority, role: string, keys: RoleKeys): Authority {
  roleOf(authority, role);
  return { ...authority, roles: new Map([...authority.roles, [role, keys]]) };
}

function withoutKeys(authority: Authority, role: string, gone: string[]): Authority {
  const { keyids, threshold } = roleOf(authority, role);
  return withRole(authority, role, { keyids: keyids.filter((keyId) => !gone.includes(keyId)), threshold });
}

function removePerson(authority: Authority, person: string, roles: string[] | undefined): Authority {
  return rolesOfPerson(authority, person, roles).reduce(
    (now, [role, keyids]) => withoutKeys(now, role, keyids),
    authority,
  );
}

/** The new key takes the old one's place in each role. */
function replaceKey(authority: Authority, holder: Holder, roles: string[] | undefined): Authority {
  return rolesOfPerson(authority, holder.name, roles).reduce((now, [role, old]) => {
    const { keyids, threshold } = roleOf(now, role);
    const added = withKey(withoutKeys(now, role, old), role, holder);
    const place = keyids.findIndex((keyId) => old.includes(keyId));
    const others = keyids.filter((keyId) => !old.includes(keyId));
    return withRole(added, role, { keyids: others.toSpliced(place, 0, holder.key.keyId), threshold });
  }, authority);
}

/** Roles in which somebody has keys, by name or by the beginning of a key's id, for keys whose holder nobody wrote down. */
function rolesOfPerson(
  authority: Authority,
  person: string,
  only: string[] | undefined,
): [string, string[]][] {
  for (const role of only ?? []) roleOf(authority, offline(role));
  const found = [...authority.roles].flatMap(([role, { keyids }]): [string, string[]][] => {
    if (role === 'snapshot' || role === 'timestamp') return [];
    if (only !== undefined && !only.includes(role)) return [];
    const theirs = keyids.filter((keyId) => isOf(authority, keyId, person));
    return theirs.length === 0 ? [] : [[role, theirs]];
  });
  if (found.length === 0) {
    throw new CeremonyError(
      'PERSON_UNKNOWN',
      only === undefined ? person : `${person} in ${only.join(', ')}`,
    );
  }
  const named = [...authority.people.values()].includes(person);
  if (!named)
    oneKey(
      found.flatMap(([, keyids]) => keyids),
      person,
    );
  return found;
}

function isOf(authority: Authority, keyId: string, person: string): boolean {
  return authority.people.get(keyId) === person || begins(keyId, person);
}

function addProduct(authority: Authority, change: Extract<Change, { kind: 'add-product' }>): Authority {
  const { product, holders, threshold, policy } = change;
  if (!PRODUCT.test(product)) throw new RepositoryError('PRODUCT_NAME', product);
  if (productsIn(authority).includes(product)) throw new CeremonyError('PRODUCT_EXISTS', product);
  const empty: Authority = {
    ...authority,
    roles: new Map([...authority.roles, [product, { keyids: [], threshold }]]),
  };
  const delegated = holders.reduce<Authority>((now, holder) => withKey(now, product, holder), empty);
  const products = { ...authority.policy.products, [product]: policy };
  return { ...delegated, policy: { ...authority.policy, products } };
}

function removeProduct(authority: Authority, product: string): Authority {
  if (!productsIn(authority).includes(product)) throw new CeremonyError('PRODUCT_UNKNOWN', product);
  const roles = new Map([...authority.roles].filter(([role]) => role !== product));
  return { ...authority, roles, policy: withoutProduct(authority.policy, product) };
}

/**
 * What must hold of every authority, whoever wrote it: each role can be signed, by different people, and chargers have a director.
 * @throws CeremonyError `THRESHOLD_UNREACHABLE`, `PERSON_TWICE`, `KEY_TWICE`, `DIRECTOR_MISSING`.
 */
export function requireSound(authority: Authority): void {
  for (const [role, { keyids, threshold }] of authority.roles) {
    const online = isTopLevel(role) && role !== 'root' && role !== 'targets';
    if (!Number.isInteger(threshold) || threshold < 1 || threshold > keyids.length) {
      throw new CeremonyError('THRESHOLD_UNREACHABLE', `${role}: ${threshold} of ${keyids.length}`);
    }
    // The service holds one key of each.
    if (online && threshold !== 1) throw new CeremonyError('THRESHOLD_UNREACHABLE', `${role}: ${threshold}`);
    if (new Set(keyids).size !== keyids.length) throw new CeremonyError('KEY_TWICE', role);
    const people = keyids.flatMap((keyId) => authority.people.get(keyId) ?? []);
    const twice = people.find((person, i) => people.indexOf(person) !== i);
    if (twice !== undefined && !online) throw new CeremonyError('PERSON_TWICE', `${twice}, ${role}`);
  }
  requireServiceApart(authority);
  requireBuildersApart(authority);
  for (const [organisation, { keys }] of Object.entries(authority.policy.directors)) {
    if (keys.some(({ state }) => state === 'active')) continue;
    throw new CeremonyError('DIRECTOR_MISSING', organisation);
  }
  if (Object.keys(authority.policy.directors).length === 0) {
    throw new CeremonyError('DIRECTOR_MISSING', POLICY_TARGET);
  }
}

/** The service never holds a key that can make firmware valid, under whatever name. Design §2, step 3 */
function requireServiceApart({ roles, policy }: Authority): void {
  const online = new Set([
    ...['snapshot', 'timestamp'].flatMap((role) => roles.get(role)?.keyids ?? []),
    ...Object.values(policy.directors).flatMap((director) => director.keys.map(({ keyId }) => keyId)),
  ]);
  for (const [role, { keyids }] of roles) {
    if (role === 'snapshot' || role === 'timestamp') continue;
    const shared = keyids.find((keyId) => online.has(keyId));
    if (shared === undefined) continue;
    throw new CeremonyError('KEY_TWICE', `Key ${shared.slice(0, 8)} of ${role} is the service's`);
  }
}

/** A build counts by its own key and by its engineers': who held two of these would stand in for a third person. */
function requireBuildersApart({ keys, people, policy }: Authority): void {
  const taken = new Map([
    ...[...keys.keys()].map((keyId) => [keyId, people.get(keyId) ?? `key ${keyId.slice(0, 8)}`] as const),
    ...Object.values(policy.directors).flatMap((director) =>
      director.keys.map(({ keyId }) => [keyId, 'the service'] as const),
    ),
  ]);
  for (const [product, { builders }] of Object.entries(policy.products)) {
    for (const builder of builders) {
      if (builder.kind !== 'key' || builder.state !== 'active') continue;
      const holder = taken.get(publicKeyOf(builder.publicKey).keyId);
      if (holder === undefined) continue;
      throw new CeremonyError(
        'KEY_TWICE',
        `The build key ${builder.keyId.slice(0, 8)} of ${product} is ${holder}'s`,
      );
    }
  }
}
