/** What was typed after `ceremony start` about `trust/policy.json`: builders, directors, the deny list, and the plain fields. */
import { resolve } from 'node:path';
import { type Builder, SHA256 } from '@tidegate/client-sdk/protocol';
import { hashFile } from '../attest/index.ts';
import { type Change, POLICY_FIELDS } from '../ceremony/index.ts';
import { hintOf } from '../keys/index.ts';
import { exists } from './home.ts';
import { invalidOption, pair, readSmallFile, split, unreadable, wholeNumber } from './options.ts';
import { readPublicKey } from './public-keys.ts';

export interface PolicyWishOptions {
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
}

/** @throws CommandError, KeyError. */
export async function policyChanges(
  options: PolicyWishOptions,
  { cwd, now }: { cwd: string; now: number },
): Promise<Change[]> {
  const changes: Change[] = [];
  const organisation = options.organisation === undefined ? {} : { organisation: options.organisation };
  for (const text of options.addBuilder) {
    const [product, file] = pair('--add-builder', text, 'e.g. acme.dc150=ci.pub');
    changes.push({ kind: 'add-builder', product, builder: await readBuilder('--add-builder', cwd, file) });
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

/** A public key, or a JSON file `{"issuer", "workflow", "ref"}` for an identity that Fulcio certifies. */
export async function readBuilder(option: string, cwd: string, file: string): Promise<Builder> {
  const text = (await readSmallFile(resolve(cwd, file), 16 * 1024)).toString('utf8');
  if (text.trimStart().startsWith('{') && text.includes('"issuer"')) {
    const { issuer, workflow, ref = '' } = jsonIn(text);
    if (typeof issuer !== 'string' || typeof workflow !== 'string' || typeof ref !== 'string') {
      throw invalidOption(option, file, 'a public key, or JSON with issuer, workflow and ref');
    }
    return { kind: 'identity', issuer, workflow, ref, state: 'active' };
  }
  const { publicKey } = await readPublicKey(cwd, file);
  return { kind: 'key', keyId: hintOf(publicKey), publicKey, state: 'active' };
}

function jsonIn(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
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
