/** The development ceremony: every key, credential and first document, made in one folder on one machine. */
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { POLICY_TARGET, SIGSTORE_ROOT_TARGET, type TrustPolicy } from '@tidegate/client-sdk/protocol';
import { generateKey, type PrivateKey, type ScryptCost, writeKeyFile } from '../keys/index.ts';
import {
  addSignature,
  addTarget,
  newRoot,
  newTargets,
  topLevelRole,
  withPeople,
  writeDocument,
  writeTrustFile,
} from '../repository/index.ts';
import { writeWhole } from '../whole-file.ts';
import { newCredential, type OperatorRole, writeCredential } from './credentials.ts';
import { type Ceremony, type Home, personKey, writeCeremony } from './home.ts';

/** Root and targets are signed by two of the people. */
const THRESHOLD = 2;

/** A Sigstore trusted root that trusts nobody: bundles are signed with keys that the policy names. */
export const EMPTY_SIGSTORE_ROOT = {
  mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
  tlogs: [],
  certificateAuthorities: [],
  ctlogs: [],
  timestampAuthorities: [],
};

export interface CeremonyPlan extends Omit<Ceremony, 'products'> {
  /** Where the service will answer, e.g. `https://localhost:8443`. */
  service: string;
  port: number;
  /** One passphrase for all offline keys; without it each folder gets its own, in a file beside the keys. */
  passphrase: string | undefined;
  scryptCost: ScryptCost | undefined;
  /** Milliseconds since the epoch. */
  now: number;
}

export interface CeremonyOutcome {
  /** Key ids: whose key it is and for what. */
  keys: { holder: string; role: string; keyId: string }[];
  people: { name: string; roles: OperatorRole[] }[];
}

interface NamedKey {
  holder: string;
  role: string;
  path: string;
  key: PrivateKey;
}

/** Makes everything below `home`, which must be empty. */
export async function holdCeremony(home: Home, plan: CeremonyPlan): Promise<CeremonyOutcome> {
  const keys = makeKeys(home, plan);
  await writeKeys(home, plan, keys);
  await writeMetadata(home, plan, keys);
  const people = await writeCredentials(home, plan);
  await writeJson(join(home.service, 'service.json'), { organisation: plan.organisation, port: plan.port });
  const { organisation, people: holders, engineers, operators } = plan;
  await writeCeremony(home, { organisation, people: holders, engineers, operators, products: {} });
  return { keys: keys.map(({ holder, role, key }) => ({ holder, role, keyId: key.keyId })), people };
}

function makeKeys(home: Home, plan: CeremonyPlan): NamedKey[] {
  const offline = plan.people.flatMap((holder) =>
    (['root', 'targets'] as const).map((role) => ({
      holder,
      role,
      path: personKey(home, holder, role),
      key: generateKey('ed25519'),
    })),
  );
  const online = (['snapshot', 'timestamp', 'director'] as const).map((role) => ({
    holder: 'service',
    role,
    path: join(home.service, 'online', `${role}.key.json`),
    key: generateKey('ed25519'),
  }));
  const build = {
    holder: 'ci',
    role: 'build',
    path: personKey(home, 'ci', 'build'),
    // P-256, because that is what HSMs and every Sigstore tool can do.
    key: generateKey('ecdsa-sha2-nistp256'),
  };
  return [...offline, ...online, build];
}

/** One passphrase a holder. The service's own lies beside its keys in every case: it starts without a person. */
async function writeKeys(home: Home, plan: CeremonyPlan, keys: NamedKey[]): Promise<void> {
  const passphrases = new Map<string, string>();
  for (const holder of new Set(keys.map((key) => key.holder))) {
    const given = holder === 'service' ? undefined : plan.passphrase;
    const passphrase = given ?? newPassphrase();
    passphrases.set(holder, passphrase);
    if (given === undefined) {
      const folder = holder === 'service' ? join(home.service, 'online') : join(home.keys, holder);
      await writePassphrase(folder, passphrase);
    }
  }
  const options = plan.scryptCost === undefined ? {} : { cost: plan.scryptCost };
  await Promise.all(
    keys.map(({ holder, path, key }) => writeKeyFile(path, key, passphrases.get(holder) ?? '', options)),
  );
}

export function newPassphrase(): string {
  return randomBytes(24).toString('base64url');
}

/** Development only: whoever reads the folder can sign. */
export async function writePassphrase(folder: string, passphrase: string): Promise<void> {
  await writeWhole(join(folder, 'passphrase'), `${passphrase}\n`, { mode: 0o600 });
}

async function writeMetadata(home: Home, plan: CeremonyPlan, keys: NamedKey[]): Promise<void> {
  const of = (role: string) => keys.filter((key) => key.role === role).map(({ key }) => key);
  let root = newRoot(
    {
      root: { keys: of('root'), threshold: THRESHOLD },
      targets: { keys: of('targets'), threshold: THRESHOLD },
      snapshot: { keys: of('snapshot'), threshold: 1 },
      timestamp: { keys: of('timestamp'), threshold: 1 },
    },
    plan.now,
  );
  const names = new Map(keys.map(({ key, holder }) => [key.keyId, holder]));
  root = withPeople(root, names);
  const policy = encodeFile(firstPolicy(plan.organisation, of('director')));
  const sigstoreRoot = encodeFile(EMPTY_SIGSTORE_ROOT);
  let targets = newTargets(plan.now);
  targets = addTarget(targets, POLICY_TARGET, fileOf(policy));
  targets = addTarget(targets, SIGSTORE_ROOT_TARGET, fileOf(sigstoreRoot));
  for (const key of of('root').slice(0, THRESHOLD)) {
    root = await addSignature(root, topLevelRole(root, 'root'), key);
  }
  for (const key of of('targets').slice(0, THRESHOLD)) {
    targets = await addSignature(targets, topLevelRole(root, 'targets'), key);
  }
  for (const folder of [home.repository, home.initial]) {
    await writeDocument(folder, 'root', root);
    await writeTrustFile(folder, POLICY_TARGET, policy);
    await writeTrustFile(folder, SIGSTORE_ROOT_TARGET, sigstoreRoot);
    await writeDocument(folder, 'targets', targets);
  }
}

function firstPolicy(organisation: string, directors: PrivateKey[]): TrustPolicy {
  const keys = directors.map(({ keyId, publicKey }) => ({ keyId, publicKey, state: 'active' as const }));
  return {
    _type: 'tidegate-policy',
    version: 1,
    directors: { [organisation]: { epoch: 1, keys } },
    products: {},
    denied: { digests: [], signers: [] },
  };
}

/** One file for each person who calls the service, and the service's list of them. */
export async function writeCredentials(
  home: Home,
  plan: Pick<CeremonyPlan, 'operators' | 'engineers' | 'service' | 'organisation'>,
): Promise<CeremonyOutcome['people']> {
  const rolesOf = new Map<string, OperatorRole[]>();
  const grant = (name: string, ...roles: OperatorRole[]) =>
    rolesOf.set(name, [...(rolesOf.get(name) ?? []), ...roles]);
  plan.operators.forEach((name, i) => (i === 0 ? grant(name, 'admin', 'operator') : grant(name, 'operator')));
  for (const name of plan.engineers) grant(name, 'release-engineer');
  const people = [...rolesOf].map(([name, roles]) => ({ name, roles }));
  const made = people.map(({ name, roles }) => newCredential(name, roles, plan.service, plan.organisation));
  for (const { file } of made) await writeCredential(home.credentials, file);
  await writeJson(
    join(home.service, 'operators.json'),
    made.map(({ entry }) => entry),
  );
  return people;
}

/** Readable, because the policy is what people sign and review. */
export function encodeFile(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
}

export function fileOf(bytes: Uint8Array): { sha256: string; length: number } {
  return { sha256: createHash('sha256').update(bytes).digest('hex'), length: bytes.length };
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeWhole(path, encodeFile(value), { mode: 0o600 });
}
