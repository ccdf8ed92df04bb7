/** What was typed after `ceremony start`, as changes. Each option is one kind of change. Here: people, keys, thresholds and products. */
import { resolve } from 'node:path';
import type { Authority, Change, Holder } from '../ceremony/index.ts';
import { publicKeyOf } from '../keys/index.ts';
import { policyChanges, type PolicyWishOptions, readBuilder } from './ceremony-wish-policy.ts';
import { CommandError } from './errors.ts';
import {
  hardwareIds,
  invalidOption,
  list,
  pair,
  peopleList,
  productId,
  readSmallFile,
  split,
  wholeNumber,
} from './options.ts';
import { readPublicKey } from './public-keys.ts';

export interface WishOptions extends PolicyWishOptions {
  addPerson: string[];
  removePerson: string[];
  replaceKey: string[];
  threshold: string[];
  addOnlineKey: string[];
  removeOnlineKey: string[];
  addProduct?: string;
  engineers?: string;
  hardware?: string;
  builderKey?: string;
  removeProduct: string[];
  sigstoreRoot?: string;
  renew?: string;
}

interface Place {
  cwd: string;
  /** To find the keys of people who are named without one. */
  authority: Pick<Authority, 'roles' | 'keys' | 'people'>;
  /** Milliseconds since the epoch. */
  now: number;
}

/** Who a product needs where nothing else is said. */
const ENGINEERS_NEEDED = 2;

/** @throws CommandError, KeyError. */
export async function changesOf(options: WishOptions, place: Place): Promise<Change[]> {
  const changes: Change[] = [];
  requireCompany(options);
  for (const text of options.removePerson) changes.push(removePerson(text));
  for (const text of options.replaceKey) {
    const { holder, roles } = await person('--replace-key', text, place.cwd);
    changes.push({ kind: 'replace-key', holder, ...(roles === undefined ? {} : { roles }) });
  }
  for (const text of options.addPerson) {
    const { holder, roles } = await person('--add-person', text, place.cwd);
    changes.push({ kind: 'add-person', holder, roles: roles ?? ['root', 'targets'] });
  }
  for (const product of options.removeProduct) {
    changes.push({ kind: 'remove-product', product: productId(product, '--remove-product') });
  }
  if (options.addProduct !== undefined) changes.push(await addProduct(options, place, options.addProduct));
  for (const text of options.threshold) {
    const [role, number] = pair('--threshold', text, 'e.g. root=2');
    changes.push({ kind: 'threshold', role, threshold: wholeNumber('--threshold', number, 1, 64) });
  }
  changes.push(...(await onlineKeys(options, place)), ...(await policyChanges(options, place)));
  if (options.sigstoreRoot !== undefined) {
    const path = resolve(place.cwd, options.sigstoreRoot);
    const bytes = await readSmallFile(path, 512 * 1024);
    changes.push({ kind: 'sigstore-root', text: bytes.toString('utf8') });
  }
  return changes;
}

/** An option that says more about another one changes nothing without it, and would be passed over in silence. */
function requireCompany(options: WishOptions): void {
  const pairs = [
    ['--engineers', options.engineers, '--add-product', options.addProduct],
    ['--builder-key', options.builderKey, '--add-product', options.addProduct],
    ['--hardware', options.hardware, '--add-product', options.addProduct],
    ['--at', options.at, '--retire-builder', options.retireBuilder[0]],
  ] as const;
  for (const [option, given, other, company] of pairs) {
    if (given === undefined || company !== undefined) continue;
    throw new CommandError('OPTION_INVALID', `${option} goes with ${other}, which is not given`);
  }
}

export function renewals(text: string | undefined): string[] | 'all' {
  return text === 'all' ? 'all' : list(text ?? '');
}

/** `ann`, or `ann:root,targets` */
function removePerson(text: string): Change {
  const [person, roles] = split(text, ':');
  return { kind: 'remove-person', person, ...(roles === undefined ? {} : { roles: list(roles) }) };
}

/** `ann=ann.pub`, or `ann=ann.pub:root,targets` */
async function person(
  option: string,
  text: string,
  cwd: string,
): Promise<{ holder: Holder; roles: string[] | undefined }> {
  const [name, rest] = pair(option, text, 'e.g. ann=ann.pub or ann=ann.pub:root,targets');
  const [file, roles] = split(rest, ':');
  return {
    holder: await holder(option, name, file, cwd),
    roles: roles === undefined ? undefined : list(roles),
  };
}

async function holder(option: string, name: string, file: string, cwd: string): Promise<Holder> {
  return { name: peopleList(option, name)[0] ?? '', key: await readPublicKey(cwd, file) };
}

async function onlineKeys(options: WishOptions, { cwd }: Place): Promise<Change[]> {
  const changes: Change[] = [];
  for (const text of options.addOnlineKey) {
    const [role, file] = pair('--add-online-key', text, 'e.g. snapshot=snapshot.pub');
    const key = await readPublicKey(cwd, file);
    changes.push({ kind: 'add-online-key', role: onlineRole('--add-online-key', role), key });
  }
  for (const text of options.removeOnlineKey) {
    const [role, keyId] = pair('--remove-online-key', text, 'e.g. snapshot=1a2b3c4d');
    changes.push({ kind: 'remove-online-key', role: onlineRole('--remove-online-key', role), keyId });
  }
  return changes;
}

function onlineRole(option: string, text: string): 'snapshot' | 'timestamp' {
  if (text === 'snapshot' || text === 'timestamp') return text;
  throw invalidOption(option, text, 'snapshot=… or timestamp=…');
}

async function addProduct(options: WishOptions, { cwd, authority }: Place, name: string): Promise<Change> {
  const product = productId(name, '--add-product');
  const engineers = list(options.engineers ?? '');
  if (engineers.length === 0)
    throw invalidOption('--engineers', '', 'the people who sign its releases, e.g. ann,ben');
  if (options.builderKey === undefined) throw invalidOption('--builder-key', '', "the build's public key");
  if (options.hardware !== undefined) hardwareIds(options.hardware);
  const known = await knownHolders(options, cwd, authority);
  const holders: Holder[] = [];
  for (const text of engineers) {
    const [engineer, file] = split(text, '=');
    holders.push(
      file === undefined ? onlyKey(known, engineer) : await holder('--engineers', engineer, file, cwd),
    );
  }
  return {
    kind: 'add-product',
    product,
    holders,
    threshold: Math.min(ENGINEERS_NEEDED, holders.length),
    policy: {
      builders: [await readBuilder('--builder-key', cwd, options.builderKey)],
      logs: 0,
      timestamps: 0,
      securityVersionCap: 1000,
      emergencyFloor: 0,
    },
  };
}

/** People of today, and those whom this very ceremony brings. */
async function knownHolders(
  options: WishOptions,
  cwd: string,
  authority: Place['authority'],
): Promise<{ name: string; keyId: string; publicKey: string }[]> {
  const known = [...authority.people].flatMap(([keyId, name]) => {
    const key = authority.keys.get(keyId);
    return key === undefined ? [] : [{ name, keyId, publicKey: pemOf(key) }];
  });
  for (const text of [...options.addPerson, ...options.replaceKey]) {
    const { holder } = await person('--add-person', text, cwd);
    known.push({ name: holder.name, keyId: holder.key.keyId, publicKey: holder.key.publicKey });
  }
  return known;
}

function onlyKey(known: { name: string; keyId: string; publicKey: string }[], name: string): Holder {
  const theirs = new Map(known.filter((one) => one.name === name).map((one) => [one.keyId, one.publicKey]));
  const [pem] = theirs.values();
  if (theirs.size !== 1 || pem === undefined) {
    const why = theirs.size === 0 ? 'has no key here' : `has ${theirs.size} keys here`;
    throw new CommandError('OPTION_INVALID', `--engineers ${name} ${why}; say ${name}=KEYFILE`);
  }
  return { name, key: publicKeyOf(pem) };
}

function pemOf({ keytype, keyval }: { keytype: string; keyval: { public: string } }): string {
  if (keytype !== 'ed25519') return keyval.public;
  // RFC 8410: the SPKI of an Ed25519 key is this prefix and its 32 bytes.
  const der = Buffer.concat([
    Buffer.from('302a300506032b6570032100', 'hex'),
    Buffer.from(keyval.public, 'hex'),
  ]);
  return `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`;
}
