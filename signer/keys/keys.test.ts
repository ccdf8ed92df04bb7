import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keyIdOf, tufKeyOf, validSigners } from '@tidegate/client-sdk/trust';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  generateKey,
  hintOf,
  KEY_ERRORS,
  KeyError,
  openKeyFile,
  peekKeyFile,
  privateKeyOf,
  publicKeyOf,
  writeKeyFile,
} from './index.ts';

const COST = { N: 16, r: 1, p: 1 };
const SCHEMES = ['ed25519', 'ecdsa-sha2-nistp256'] as const;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate-keys-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as KeyError).code;
  }
}

describe.each(SCHEMES)('a key of scheme %s', (scheme) => {
  it('signs what a charger counts, under a computed id', async () => {
    const key = generateKey(scheme);
    const signed = { any: 'value' };
    const bytes = Buffer.from('{"any":"value"}');
    const sig = Buffer.from(await key.sign(bytes)).toString('hex');
    const tufKey = tufKeyOf(key.publicKey);
    expect(key.keyId).toBe(keyIdOf(tufKey));
    const envelope = { signed, signatures: [{ keyid: key.keyId, sig }] };
    expect(validSigners(envelope, new Map([[key.keyId, tufKey]]), [key.keyId])).toEqual([key.keyId]);
    expect(hintOf(key.publicKey)).toMatch(/^[0-9a-f]{64}$/);
  });

  it('survives its file, which only its owner can read', async () => {
    const key = generateKey(scheme);
    const path = join(folder, scheme, 'key.json');
    await writeKeyFile(path, key, 'pass word', { cost: COST });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(join(folder, scheme))).toEqual(['key.json']);
    const opened = await openKeyFile(path, 'pass word');
    expect(opened.keyId).toBe(key.keyId);
    const signature = await opened.sign(Buffer.from('text'));
    const digest = scheme === 'ed25519' ? null : 'sha256';
    expect(verify(digest, Buffer.from('text'), createPublicKey(key.publicKey), signature)).toBe(true);
    expect(await peekKeyFile(path)).toEqual({ keyId: key.keyId, scheme, publicKey: key.publicKey });
  });
});

describe('a key file is refused', () => {
  const key = generateKey();
  let path: string;
  let file: Record<string, unknown>;

  beforeAll(async () => {
    path = join(folder, 'good.key.json');
    await writeKeyFile(path, key, 'secret', { cost: COST });
    file = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  });

  async function changed(change: Record<string, unknown>): Promise<string> {
    const other = join(folder, 'changed.key.json');
    await writeFile(other, JSON.stringify({ ...file, ...change }));
    return other;
  }

  it('with a wrong passphrase, or none', async () => {
    await expect(openKeyFile(path, 'Secret')).rejects.toMatchObject({ code: 'KEY_PASSPHRASE' });
    await expect(openKeyFile(path, '')).rejects.toMatchObject({ code: 'KEY_PASSPHRASE_MISSING' });
    await expect(writeKeyFile(join(folder, 'x'), key, '')).rejects.toMatchObject({
      code: 'KEY_PASSPHRASE_MISSING',
    });
  });

  it('where there is none, and where there is one already', async () => {
    await expect(openKeyFile(join(folder, 'none'), 'secret')).rejects.toMatchObject({
      code: 'KEY_NOT_FOUND',
    });
    await expect(writeKeyFile(path, generateKey(), 'secret', { cost: COST })).rejects.toMatchObject({
      code: 'KEY_EXISTS',
    });
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(file);
  });

  it('whose public key was exchanged', async () => {
    const { keyId, publicKey } = generateKey();
    await expect(openKeyFile(await changed({ publicKey }), 'secret')).rejects.toMatchObject({
      code: 'KEY_MISMATCH',
    });
    await expect(openKeyFile(await changed({ publicKey, keyId }), 'secret')).rejects.toMatchObject({
      code: 'KEY_MISMATCH',
    });
  });

  it('that would cost its reader gigabytes', async () => {
    const kdf = { ...(file['kdf'] as object), N: 2 ** 30 };
    await expect(openKeyFile(await changed({ kdf }), 'secret')).rejects.toMatchObject({
      code: 'KEY_MALFORMED',
    });
  });

  it('whatever is in it, with a code and never a crash', async () => {
    const other = join(folder, 'fuzzed.key.json');
    const field = fc.constantFrom(
      '_type',
      'keyId',
      'scheme',
      'publicKey',
      'kdf',
      'cipher',
      'iv',
      'tag',
      'encrypted',
    );
    await fc.assert(
      fc.asyncProperty(field, fc.jsonValue(), async (name, value) => {
        await writeFile(other, JSON.stringify({ ...file, [name]: value }));
        const error: unknown = await openKeyFile(other, 'secret').catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(KeyError);
        expect(Object.keys(KEY_ERRORS)).toContain((error as KeyError).code);
      }),
      { numRuns: 100, seed: 7 },
    );
  });
});

describe('a public key is refused', () => {
  it('of a kind that does not sign here', () => {
    const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
    const pem = p384.publicKey.export({ type: 'spki', format: 'pem' }).toString();
    expect(codeOf(() => publicKeyOf(pem))).toBe('KEY_SCHEME');
    expect(codeOf(() => privateKeyOf(p384.privateKey))).toBe('KEY_SCHEME');
  });

  it('that is a private key, or nothing', () => {
    const secret = generateKey().privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    expect(codeOf(() => publicKeyOf(secret))).toBe('KEY_MALFORMED');
    expect(codeOf(() => publicKeyOf('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'))).toBe(
      'KEY_MALFORMED',
    );
  });
});
