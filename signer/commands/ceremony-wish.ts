/** What was typed after `ceremony start`, as changes. Each option is one kind of change. */
import { resolve } from 'node:path';
import { SHA256, type Builder } from '@tidegate/client-sdk/protocol';
import { hashFile } from '../attest/index.ts';
import { type Authority, type Change, type Holder, POLICY_FIELDS } from '../ceremony/index.ts';
import { hintOf, publicKeyOf } from '../keys/index.ts';
import { CommandError } from './errors.ts';
import { exists } from './home.ts';
import {
  hardwareIds,
  invalidOption,
  peopleList,
  productId,
  readSmallFile,
  unreadable,
  wholeNumber,
} from './options.ts';
import { readPublicKey } from './public-keys.ts';

export interface WishOptions {
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
  set: string[];
  addBuilder: string[];
  retireBuilder: string[];
  at?: string;
  compromisedBuilder: string[];
  organisation?: string;
  addDirector: string[];
  retireDirector: string[];
  stolenDirector?: string;
  denyImage: string[];
  allowImage: string[];
  denySigner: string[];
  allowSigner: string[];
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

export function renewals(text: string | undefined): string[] | 'all' {
  return text === 'all' ? 'all' : commas(text ?? '');
}

/** `ann`, or `ann:root,targets` */
function removePerson(text: string): Change {
  const [person, roles] = split(text, ':');
  return { kind: 'remove-person', person, ...(roles === undefined ? {} : { roles: commas(roles) }) };
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
    roles: roles === undefined ? undefined : commas(roles),
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

async function policyChanges(options: WishOptions, { cwd, now }: Place): Promise<Change[]> {
  const changes: Change[] = [];
  const organisation = options.organisation === undefined ? {} : { organisation: options.organisation };
  for (const text of options.addBuilder) {
    const [product, file] = pair('--add-builder', text, 'e.g. acme.dc150=ci.pub');
    changes.push({ kind: 'add-builder', product, builder: await readBuilder(cwd, file) });
  }
  for (const text of options.retireBuilder) {
    const [product, builder] = pair('--retire-builder', text, 'e.g. acme.dc150=1a2b3c4d');
    changes.push({ kind: 'retire-builder', product, builder, at: instantOf(options.at, now) });
  }
  for (const text of options.compromisedBuilder) {
    const [product, builder] = pair('--compromised-builder', text, 'e.g. acme.dc150=1a2b3c4d');
    changes.push({ kind: 'compromised-builder', product, builder });
  }
  for (const text of options.set) changes.push(setField(text));
  for (const file of options.addDirector) {
    changes.push({ kind: 'add-director', ...organisation, key: await readPublicKey(cwd, file) });
  }
  if (options.stolenDirector !== undefined) {
    const key = await readPublicKey(cwd, options.stolenDirector);
    changes.push({ kind: 'stolen-director', ...organisation, key });
  }
  for (const keyId of options.retireDirector) {
    if (!/^[0-9a-f]{8,64}$/.test(keyId)) {
      throw invalidOption('--retire-director', keyId, 'at least the first 8 digits of a key id');
    }
    changes.push({ kind: 'retire-director', ...organisation, keyId });
  }
  for (const text of options.denyImage) {
    changes.push({ kind: 'deny', list: 'digests', entry: await digestOf(cwd, text) });
  }
  for (const text of options.allowImage) {
    changes.push({ kind: 'allow', list: 'digests', entry: await digestOf(cwd, text) });
  }
  for (const entry of options.denySigner) changes.push({ kind: 'deny', list: 'signers', entry });
  for (const entry of options.allowSigner) changes.push({ kind: 'allow', list: 'signers', entry });
  return changes;
}

async function addProduct(options: WishOptions, { cwd, authority }: Place, name: string): Promise<Change> {
  const product = productId(name, '--add-product');
  const engineers = commas(options.engineers ?? '');
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
      builders: [await readBuilder(cwd, options.builderKey)],
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

/** A public key, or a JSON file `{"issuer", "workflow", "ref"}` for an identity that Fulcio certifies. */
async function readBuilder(cwd: string, file: string): Promise<Builder> {
  const text = (await readSmallFile(resolve(cwd, file), 16 * 1024)).toString('utf8');
  if (text.trimStart().startsWith('{') && text.includes('"issuer"')) {
    const { issuer, workflow, ref } = JSON.parse(text) as Record<string, string>;
    if (issuer === undefined || workflow === undefined) {
      throw invalidOption('--add-builder', file, 'a public key, or JSON with issuer, workflow and ref');
    }
    return { kind: 'identity', issuer, workflow, ref: ref ?? '', state: 'active' };
  }
  const { publicKey } = await readPublicKey(cwd, file);
  return { kind: 'key', keyId: hintOf(publicKey), publicKey, state: 'active' };
}

/** `acme.dc150:emergency-floor=5` */
function setField(text: string): Change {
  const example = `e.g. acme.dc150:emergency-floor=5; fields are ${Object.keys(POLICY_FIELDS).join(', ')}`;
  const [what, value] = pair('--set', text, example);
  const [product, field] = split(what, ':');
  if (field === undefined) throw invalidOption('--set', text, example);
  const word = value === 'true' || value === 'false' ? value === 'true' : value;
  const read = /^\d/.test(value) ? wholeNumber('--set', value, 0, Number.MAX_SAFE_INTEGER) : word;
  return { kind: 'set', product, field, value: read };
}

async function digestOf(cwd: string, text: string): Promise<string> {
  if (SHA256.test(text)) return text;
  const path = resolve(cwd, text);
  if (!(await exists(path))) throw invalidOption('--deny-image', text, 'a SHA-256 in hex, or an image file');
  return (await hashFile(path).catch(unreadable(path))).sha256;
}

function instantOf(text: string | undefined, now: number): string {
  const ms = text === undefined ? now : Date.parse(text);
  if (Number.isNaN(ms)) throw invalidOption('--at', text ?? '', 'a time such as 2026-12-01T00:00:00Z');
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

function pair(option: string, text: string, example: string): [string, string] {
  const [left, right] = split(text, '=');
  if (left === '' || right === undefined || right === '') throw invalidOption(option, text, example);
  return [left, right];
}

function split(text: string, at: string): [string, string | undefined] {
  const i = text.indexOf(at);
  return i < 0 ? [text, undefined] : [text.slice(0, i), text.slice(i + 1)];
}

function commas(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
