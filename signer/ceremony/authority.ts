/**
 * What the signed documents say, as people think of it: who may do what. Documents are read into an `Authority`, edits are made to it,
 * and it is written out as documents again. Whatever a document holds that its authority does not write is something that nobody was shown.
 */
import { createHash } from 'node:crypto';
import { POLICY_TARGET, SIGSTORE_ROOT_TARGET, type TrustPolicy } from '@tidegate/client-sdk/protocol';
import { parsePolicy, tufKeyOf } from '@tidegate/client-sdk/trust';
import type { PublicKey } from '../keys/index.ts';
import {
  type DelegatedRole,
  type Metadata,
  PEOPLE,
  peopleMember,
  peopleOf,
  type Role,
  type RoleKeys,
  type Root,
  SPEC_VERSION,
  type Targets,
  TOP_LEVEL_ROLES,
  type TopLevelRole,
  type TufKey,
} from '../repository/index.ts';
import { CeremonyError } from './errors.ts';
import { directorKey } from './policy-changes.ts';

/** The documents that people sign, and the two files that the top-level targets list, verbatim. */
export interface TrustState {
  root: Metadata<Root>;
  targets: Metadata<Targets>;
  policy: string;
  sigstoreRoot: string;
  /** Product roles, as far as they matter. */
  products: Record<string, Metadata<Targets>>;
}

export interface Authority {
  /** The four top-level roles, then the products in their order. */
  roles: ReadonlyMap<string, RoleKeys>;
  /** By key id: those that some role names. */
  keys: ReadonlyMap<string, TufKey>;
  /** Key id → name. */
  people: ReadonlyMap<string, string>;
  policy: TrustPolicy;
  /** As the targets list it. */
  policyText: string;
  sigstoreRoot: string;
}

/** The service's public halves. */
export interface ServiceKeys {
  snapshot: PublicKey;
  timestamp: PublicKey;
  director: PublicKey;
}

/** What the very first ceremony begins from: the service's keys have their roles, and nobody has signed for anything. */
export function emptyAuthority(organisation: string, service: ServiceKeys, sigstoreRoot: string): Authority {
  const online = [service.snapshot, service.timestamp];
  return {
    roles: new Map(
      TOP_LEVEL_ROLES.map((role) => [
        role,
        role === 'snapshot' || role === 'timestamp'
          ? { keyids: [service[role].keyId], threshold: 1 }
          : { keyids: [], threshold: 2 },
      ]),
    ),
    keys: new Map(online.map(({ keyId, publicKey }) => [keyId, tufKeyOf(publicKey)])),
    people: new Map(online.map(({ keyId }) => [keyId, 'service'])),
    policy: {
      _type: 'tidegate-policy',
      version: 1,
      directors: { [organisation]: { epoch: 1, keys: [directorKey(service.director)] } },
      products: {},
      denied: { digests: [], signers: [] },
    },
    policyText: '',
    sigstoreRoot,
  };
}

/** Version and expiry, which an authority does not decide. */
export interface Life {
  version: number;
  expires: string;
}

export function lifeOf({ version, expires }: Life): Life {
  return { version, expires };
}

export function isTopLevel(role: string): role is TopLevelRole {
  return (TOP_LEVEL_ROLES as readonly string[]).includes(role);
}

export function productsIn({ roles }: Pick<Authority, 'roles'>): string[] {
  return [...roles.keys()].filter((role) => !isTopLevel(role));
}

/** @throws CeremonyError `KEY_TWICE`; Refusal `POLICY_MALFORMED`. */
export function authorityOf({
  root,
  targets,
  policy,
  sigstoreRoot,
}: Omit<TrustState, 'products'>): Authority {
  const { delegations } = targets.signed;
  const delegated = delegations?.roles ?? [];
  return {
    roles: new Map([
      ...TOP_LEVEL_ROLES.map((role) => [role, rolesKeys(root.signed.roles[role])] as const),
      ...delegated.map((role) => [role.name, rolesKeys(role)] as const),
    ]),
    keys: new Map([...Object.entries(root.signed.keys), ...Object.entries(delegations?.keys ?? {})]),
    people: oneNameAKey(peopleOf(root), peopleOf(targets)),
    policy: parsePolicy(Buffer.from(policy)),
    policyText: policy,
    sigstoreRoot,
  };
}

function rolesKeys({ keyids, threshold }: RoleKeys): RoleKeys {
  return { keyids, threshold };
}

function oneNameAKey(...documents: Map<string, string>[]): Map<string, string> {
  const people = new Map<string, string>();
  for (const [keyId, name] of documents.flatMap((names) => [...names])) {
    const other = people.get(keyId) ?? name;
    if (other !== name) {
      throw new CeremonyError('KEY_TWICE', `Key ${keyId.slice(0, 8)} is ${other}'s and ${name}'s`);
    }
    people.set(keyId, name);
  }
  return people;
}

const FIRST_ROOT: Partial<Root> & Pick<Root, '_type' | 'spec_version' | 'consistent_snapshot'> = {
  _type: 'root',
  spec_version: SPEC_VERSION,
  consistent_snapshot: true,
};
const FIRST_TARGETS: Partial<Targets> & Pick<Targets, '_type' | 'spec_version' | 'targets'> = {
  _type: 'targets',
  spec_version: SPEC_VERSION,
  targets: {},
};

/** @param before members that this authority knows nothing of are kept. */
export function rootOf(authority: Authority, before: Root | undefined, life: Life): Root {
  const roles = {} as Root['roles'];
  for (const role of TOP_LEVEL_ROLES) roles[role] = roleOf(authority, role);
  const { [PEOPLE]: _, ...kept } = before ?? FIRST_ROOT;
  const keys = keysOf(authority, Object.values(roles));
  return { ...kept, ...life, keys, roles, ...peopleMember(Object.keys(keys), authority.people) };
}

/** As `rootOf`. */
export function targetsOf(authority: Authority, before: Targets | undefined, life: Life): Targets {
  const roles: DelegatedRole[] = productsIn(authority).map((name) => ({
    name,
    ...roleOf(authority, name),
    // Design §3: its own paths and nothing else, terminating.
    paths: [`${name}/*`],
    terminating: true,
  }));
  const { [PEOPLE]: _, ...kept } = before ?? FIRST_TARGETS;
  const keys = keysOf(authority, roles);
  const targets = {
    ...kept.targets,
    [POLICY_TARGET]: listed(authority.policyText),
    [SIGSTORE_ROOT_TARGET]: listed(authority.sigstoreRoot),
  };
  const people = peopleMember(Object.keys(keys), authority.people);
  return { ...kept, ...life, targets, delegations: { keys, roles }, ...people };
}

/** Readable, because the policy is what people sign and review. */
export function encodePolicy(policy: TrustPolicy): string {
  return `${JSON.stringify(policy, null, 2)}\n`;
}

export function roleOf({ roles }: Pick<Authority, 'roles'>, role: string): RoleKeys {
  const found = roles.get(role);
  if (found === undefined) throw new CeremonyError('ROLE_UNKNOWN', role);
  return found;
}

/** A role with its keys, as signatures are counted against it. */
export function quorumOf(authority: Authority, role: string): Role {
  return { name: role, ...roleOf(authority, role), keys: authority.keys };
}

function keysOf({ keys }: Authority, roles: RoleKeys[]): Record<string, TufKey> {
  const used = new Set(roles.flatMap(({ keyids }) => keyids));
  return Object.fromEntries([...keys].filter(([keyId]) => used.has(keyId)));
}

function listed(text: string): { length: number; hashes: { sha256: string } } {
  const bytes = Buffer.from(text);
  return { length: bytes.length, hashes: { sha256: createHash('sha256').update(bytes).digest('hex') } };
}

/** A key by its holder's name where that is known, and the first digits of its id. */
export function nameOf({ people }: Pick<Authority, 'people'>, keyId: string): string {
  const name = people.get(keyId);
  return name === undefined ? `key ${keyId.slice(0, 8)}` : name;
}
