/** Looks at a ceremony before it is signed or finished. Nothing that the file says of itself is believed. */
import { createHash, createPublicKey } from 'node:crypto';
import { POLICY_TARGET, Refusal, SIGSTORE_ROOT_TARGET } from '@tidegate/client-sdk/protocol';
import { canonicalBytes, parseRoot, parseTargets, trustMaterial } from '@tidegate/client-sdk/trust';
import {
  checkSigned,
  encode,
  LIFETIME_DAYS,
  type Metadata,
  newProductRole,
  RepositoryError,
  type Root,
  same,
  type Signed,
  type Targets,
  type TufKey,
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
import { requireSound } from './changes.ts';
import { type Difference, differencesOf } from './differences.ts';
import { CeremonyError } from './errors.ts';
import type { CeremonyFile } from './file.ts';
import { compareWithOwn } from './own-copy.ts';
import { type DocumentStatus, documentsOf } from './status.ts';

export interface CheckedCeremony {
  file: CeremonyFile;
  /** Undefined at the very first ceremony. */
  before: Authority | undefined;
  after: Authority;
  differences: Difference[];
  documents: DocumentStatus[];
  /** Whether there was a copy of one's own to compare with. */
  compared: boolean;
  /** Whether the copy here has it all already. */
  finished: boolean;
  complete: boolean;
}

/**
 * @param own the newest documents here; undefined where there are none.
 * @param now milliseconds since the epoch.
 * @throws CeremonyError `CEREMONY_…`, `KEY_TWICE`, `PERSON_TWICE`, `THRESHOLD_UNREACHABLE`, `DIRECTOR_MISSING`; Refusal `POLICY_MALFORMED`.
 */
export function checkCeremony(file: CeremonyFile, own: TrustState | undefined, now: number): CheckedCeremony {
  requireShapes(file);
  const before = file.before === undefined ? undefined : beforeOf(file.before);
  const after = authorityOf(afterState(file));
  requirePlain(before, after);
  requireSound(after);
  requireNothingHidden(file, before, after);
  const finished = compareWithOwn(file, own);
  if (!finished) requireLives(file, now);
  const documents = documentsOf(file, before, after);
  return {
    file,
    before,
    after,
    differences: differencesOf(before, after),
    documents,
    compared: own !== undefined,
    finished,
    complete: documents.every(({ complete, faults }) => complete && faults.length === 0),
  };
}

/** The documents as they will be. */
export function afterState({ before, after }: CeremonyFile): TrustState {
  const { root, targets, policy, sigstoreRoot } = { ...before, ...after };
  if (root === undefined || targets === undefined || policy === undefined || sigstoreRoot === undefined) {
    throw new CeremonyError('CEREMONY_MALFORMED', 'A first ceremony has every document');
  }
  return { root, targets, policy, sigstoreRoot, products: { ...before?.products, ...after.products } };
}

/** A short word for a document's content, the same whoever has signed it, to compare over the phone. */
export function fingerprint(metadata: Metadata): string {
  const hex = createHash('sha256').update(canonicalBytes(metadata.signed)).digest('hex').slice(0, 32);
  return (hex.match(/.{4}/g) ?? []).join(' ');
}

/** As a charger reads them; signatures are looked at later. */
function requireShapes({ before, after }: CeremonyFile): void {
  try {
    for (const state of [before, after]) {
      const unsigned = (metadata: Metadata) => encode({ signed: metadata.signed, signatures: [] });
      if (state?.root !== undefined) parseRoot(unsigned(state.root));
      if (state?.targets !== undefined) parseTargets(unsigned(state.targets));
      for (const role of Object.values(state?.products ?? {})) parseTargets(unsigned(role));
    }
  } catch (cause) {
    const seen = cause instanceof Refusal ? cause.detail : 'A document';
    throw new CeremonyError('CEREMONY_MALFORMED', seen, { cause });
  }
}

/** Where it starts from is signed, each document by those whom the one above names. */
function beforeOf(state: TrustState): Authority {
  const authority = authorityOf(state);
  try {
    checkSigned(state.root, quorumOf(authority, 'root'));
    checkSigned(state.targets, quorumOf(authority, 'targets'));
    for (const [product, role] of Object.entries(state.products))
      checkSigned(role, quorumOf(authority, product));
  } catch (cause) {
    if (!(cause instanceof RepositoryError || cause instanceof CeremonyError)) throw cause;
    throw new CeremonyError('CEREMONY_FOREIGN', 'What it starts from is not signed as it must be', { cause });
  }
  const files = [
    [POLICY_TARGET, state.policy],
    [SIGSTORE_ROOT_TARGET, state.sigstoreRoot],
  ] as const;
  for (const [path, text] of files) {
    const sha256 = createHash('sha256').update(text).digest('hex');
    if (state.targets.signed.targets[path]?.hashes.sha256 === sha256) continue;
    throw new CeremonyError('CEREMONY_FOREIGN', `${path} is not the file that its targets list`);
  }
  return authority;
}

const NAME = /^[a-z][a-z0-9-]{0,31}$/;

/** One public key has one spelling, so that it has one id; and a name is a name. */
function requirePlain(before: Authority | undefined, after: Authority): void {
  for (const [keyId, key] of after.keys) {
    if (before?.keys.has(keyId) === true || isPlain(key)) continue;
    throw new CeremonyError('KEY_TWICE', `Key ${keyId.slice(0, 8)} is written in an unusual way`);
  }
  for (const [keyId, name] of after.people) {
    if (typeof name === 'string' && NAME.test(name)) continue;
    throw new CeremonyError('CEREMONY_TAMPERED', `The name of key ${keyId.slice(0, 8)}`);
  }
}

function isPlain(key: TufKey): boolean {
  const { keytype, scheme, keyval } = key;
  if (!same(key, { keytype, scheme, keyval: { public: keyval.public } })) return false;
  if (keytype === 'ed25519') return scheme === 'ed25519' && /^[0-9a-f]{64}$/.test(keyval.public);
  if (keytype !== 'ecdsa' || scheme !== 'ecdsa-sha2-nistp256') return false;
  try {
    const spki = createPublicKey(keyval.public);
    return spki.export({ type: 'spki', format: 'pem' }).toString() === keyval.public;
  } catch {
    return false;
  }
}

/**
 * What is shown is the difference of the two authorities. So each new document must be what its authority writes over the document before,
 * and one that is not there must have nothing to say.
 */
function requireNothingHidden(file: CeremonyFile, before: Authority | undefined, after: Authority): void {
  const { root, targets } = file.after;
  if (root !== undefined) {
    const old = file.before?.root.signed;
    requireSuccessor('root', root, old, rootOf(after, old, lifeOf(root.signed)));
  }
  if (targets !== undefined) {
    const old = file.before?.targets.signed;
    requireSuccessor('targets', targets, old, targetsOf(after, old, lifeOf(targets.signed)));
  } else if (file.before !== undefined && before !== undefined) {
    const { signed } = file.before.targets;
    const [old, now] = [before, after].map((authority) => targetsOf(authority, signed, lifeOf(signed)));
    if (!same(old, now))
      throw new CeremonyError('CEREMONY_TAMPERED', 'The rules change, and not the targets');
  }
  requirePolicy(file, before, after);
  requireRoles(file, before, after);
}

function requirePolicy({ after: next }: CeremonyFile, before: Authority | undefined, after: Authority): void {
  if (next.policy !== undefined && next.policy !== before?.policyText) {
    // Written twice, a member would be read here as it stands last, and by others as it stands first.
    if (next.policy !== encodePolicy(JSON.parse(next.policy) as Authority['policy'])) {
      throw new CeremonyError('CEREMONY_TAMPERED', `${POLICY_TARGET} is written in an unusual way`);
    }
    if (after.policy.version !== (before?.policy.version ?? 0) + 1) {
      throw new CeremonyError('CEREMONY_VERSION', `${POLICY_TARGET} ${after.policy.version}`);
    }
  }
  const stray = Object.keys(after.policy.products).find((product) => !after.roles.has(product));
  const bare = productsIn(after).find((product) => !Object.hasOwn(after.policy.products, product));
  if (stray !== undefined || bare !== undefined) {
    throw new CeremonyError('PRODUCT_UNKNOWN', `Signers and rules disagree on ${stray ?? bare ?? ''}`);
  }
  if (next.sigstoreRoot !== undefined) {
    trustMaterial(Buffer.from(next.sigstoreRoot), () => {
      throw new TypeError('no key is looked for');
    });
  }
}

function requireRoles(file: CeremonyFile, before: Authority | undefined, after: Authority): void {
  for (const [product, role] of Object.entries(file.after.products)) {
    if (!productsIn(after).includes(product)) throw new CeremonyError('CEREMONY_TAMPERED', product);
    if (before?.roles.has(product) === true) {
      const old = file.before?.products[product]?.signed;
      if (old === undefined)
        throw new CeremonyError('CEREMONY_TAMPERED', `${product} as it was is not there`);
      requireSuccessor(product, role, old, { ...old, ...lifeOf(role.signed) });
    } else {
      requireSuccessor(product, role, undefined, { ...newProductRole(0).signed, ...lifeOf(role.signed) });
    }
  }
  for (const product of productsIn(after)) requireSigners(file, before, after, product);
}

/** A product whose signers change keeps a role that the new ones have signed, so that nothing is stranded in between. */
function requireSigners(
  file: CeremonyFile,
  before: Authority | undefined,
  after: Authority,
  product: string,
): void {
  if (Object.hasOwn(file.after.products, product)) return;
  const [old, now] = [before?.roles.get(product), after.roles.get(product)];
  if (old !== undefined && same(old, now)) return;
  const role = file.before?.products[product];
  if (role === undefined) throw new CeremonyError('CEREMONY_TAMPERED', `The role of ${product} is not there`);
  try {
    checkSigned(role, quorumOf(after, product));
  } catch (cause) {
    throw new CeremonyError('CEREMONY_TAMPERED', `Nobody of the new signers has signed ${product}`, {
      cause,
    });
  }
}

function requireSuccessor(
  name: string,
  { signed }: Metadata<Root> | Metadata<Targets>,
  before: Signed | undefined,
  expected: Root | Targets,
): void {
  if (signed.version !== (before?.version ?? 0) + 1) {
    throw new CeremonyError('CEREMONY_VERSION', `${name} ${signed.version} after ${before?.version ?? 0}`);
  }
  if (!same(signed, expected)) throw new CeremonyError('CEREMONY_TAMPERED', name);
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** The clock of whoever started it may be ahead. The service allows as much. */
const SKEW_MS = DAY_MS;

/** Design §3: offline roles live at most 90 days. */
function requireLives({ after }: CeremonyFile, now: number): void {
  const lives = [
    ['root', after.root?.signed.expires, LIFETIME_DAYS.root],
    ['targets', after.targets?.signed.expires, LIFETIME_DAYS.targets],
    ...Object.entries(after.products).map(
      ([product, role]) => [product, role.signed.expires, LIFETIME_DAYS.product] as const,
    ),
  ] as const;
  for (const [name, expires, days] of lives) {
    if (expires === undefined) continue;
    const left = Date.parse(expires) - now;
    if (left > 0 && left <= days * DAY_MS + SKEW_MS) continue;
    throw new CeremonyError('CEREMONY_LIFETIME', `${name} is valid until ${expires}`);
  }
}
