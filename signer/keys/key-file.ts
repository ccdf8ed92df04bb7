/**
 * A private key at rest, encrypted with a passphrase: scrypt (RFC 7914) makes the key, AES-256-GCM encrypts PKCS #8 DER.
 * The file has mode 600, is written whole and never overwritten.
 */
import { createCipheriv, createDecipheriv, createPrivateKey, randomBytes, scrypt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { writeWhole } from '../whole-file.ts';
import { KeyError } from './errors.ts';
import { type PrivateKey, privateKeyOf } from './private-key.ts';
import { type PublicKey, publicKeyOf } from './signer.ts';

/** scrypt's cost. Memory is 128 × N × r bytes. */
export interface ScryptCost {
  N: number;
  r: number;
  p: number;
}

/** 32 MiB and some tenths of a second a guess. OWASP Password Storage Cheat Sheet, scrypt. */
export const SCRYPT_COST: ScryptCost = { N: 2 ** 15, r: 8, p: 3 };

/** A file may not make its reader use more than this, however it was made. */
const SCRYPT_LIMIT: ScryptCost = { N: 2 ** 20, r: 16, p: 4 };
const MAX_FILE_BYTES = 16 * 1024;

interface KeyFile extends PublicKey {
  _type: 'tidegate-key';
  kdf: ScryptCost & { name: 'scrypt'; salt: string };
  cipher: 'aes-256-gcm';
  iv: string;
  tag: string;
  encrypted: string;
}

/**
 * Writes a key to a new file.
 * @param options.cost for tests; never below the default otherwise.
 * @throws KeyError `KEY_EXISTS`, `KEY_PASSPHRASE_MISSING`.
 */
export async function writeKeyFile(
  path: string,
  key: PrivateKey,
  passphrase: string,
  options: { cost?: ScryptCost } = {},
): Promise<void> {
  if (passphrase === '') throw new KeyError('KEY_PASSPHRASE_MISSING', path);
  const cost = options.cost ?? SCRYPT_COST;
  const salt = randomBytes(16);
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', await stretch(passphrase, salt, cost), iv);
  const secret = key.privateKey.export({ type: 'pkcs8', format: 'der' });
  const encrypted = Buffer.concat([cipher.update(secret), cipher.final()]);
  const file: KeyFile = {
    _type: 'tidegate-key',
    keyId: key.keyId,
    scheme: key.scheme,
    publicKey: key.publicKey,
    kdf: { name: 'scrypt', ...cost, salt: salt.toString('base64') },
    cipher: 'aes-256-gcm',
    iv: iv.toString('base64'),
    tag: cipher.getAuthTag().toString('base64'),
    encrypted: encrypted.toString('base64'),
  };
  try {
    await writeWhole(path, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600, exclusive: true });
  } catch (cause) {
    if (isSystemError(cause, 'EEXIST')) throw new KeyError('KEY_EXISTS', path, { cause });
    throw cause;
  }
}

/**
 * Opens a key file for signing.
 * @throws KeyError `KEY_NOT_FOUND`, `KEY_MALFORMED`, `KEY_SCHEME`, `KEY_PASSPHRASE`, `KEY_PASSPHRASE_MISSING`, `KEY_MISMATCH`.
 */
export async function openKeyFile(path: string, passphrase: string): Promise<PrivateKey> {
  const file = await readKeyFile(path);
  if (passphrase === '') throw new KeyError('KEY_PASSPHRASE_MISSING', path);
  const { salt, ...cost } = file.kdf;
  const stretched = await stretch(passphrase, Buffer.from(salt, 'base64'), cost);
  const key = privateKeyOf(decrypt(path, file, stretched));
  if (key.keyId !== file.keyId) throw new KeyError('KEY_MISMATCH', path);
  return key;
}

/**
 * What a key file says of its public half, without the passphrase.
 * @throws KeyError `KEY_NOT_FOUND`, `KEY_MALFORMED`, `KEY_SCHEME`, `KEY_MISMATCH`.
 */
export async function peekKeyFile(path: string): Promise<PublicKey> {
  const { keyId, scheme, publicKey } = await readKeyFile(path);
  return { keyId, scheme, publicKey };
}

async function readKeyFile(path: string): Promise<KeyFile> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    if (isSystemError(cause, 'ENOENT')) throw new KeyError('KEY_NOT_FOUND', path, { cause });
    throw cause;
  }
  const file = parseKeyFile(path, bytes);
  // The id is computed, never believed.
  const known = publicKeyOf(file.publicKey);
  if (known.keyId !== file.keyId || known.scheme !== file.scheme) throw new KeyError('KEY_MISMATCH', path);
  return file;
}

function parseKeyFile(path: string, bytes: Buffer): KeyFile {
  if (bytes.length > MAX_FILE_BYTES) throw new KeyError('KEY_MALFORMED', path);
  let file: Partial<KeyFile> | null;
  try {
    file = JSON.parse(bytes.toString('utf8')) as Partial<KeyFile> | null;
  } catch (cause) {
    throw new KeyError('KEY_MALFORMED', path, { cause });
  }
  if (!isKeyFile(file)) throw new KeyError('KEY_MALFORMED', path);
  return file;
}

function isKeyFile(file: Partial<KeyFile> | null): file is KeyFile {
  return (
    file?._type === 'tidegate-key' &&
    file.cipher === 'aes-256-gcm' &&
    [file.keyId, file.scheme, file.publicKey, file.iv, file.tag, file.encrypted, file.kdf?.salt].every(
      (text) => typeof text === 'string',
    ) &&
    file.kdf?.name === 'scrypt' &&
    (['N', 'r', 'p'] as const).every((name) => isCost(file.kdf?.[name], SCRYPT_LIMIT[name])) &&
    Number.isInteger(Math.log2(file.kdf.N))
  );
}

function isCost(value: unknown, limit: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= limit;
}

function decrypt(path: string, file: KeyFile, stretched: Buffer) {
  let secret: Buffer;
  try {
    const decipher = createDecipheriv('aes-256-gcm', stretched, Buffer.from(file.iv, 'base64'), {
      authTagLength: 16,
    });
    decipher.setAuthTag(Buffer.from(file.tag, 'base64'));
    secret = Buffer.concat([decipher.update(Buffer.from(file.encrypted, 'base64')), decipher.final()]);
  } catch (cause) {
    throw new KeyError('KEY_PASSPHRASE', path, { cause });
  }
  try {
    return createPrivateKey({ key: secret, format: 'der', type: 'pkcs8' });
  } catch (cause) {
    throw new KeyError('KEY_MALFORMED', path, { cause });
  }
}

function stretch(passphrase: string, salt: Buffer, { N, r, p }: ScryptCost): Promise<Buffer> {
  const maxmem = 128 * N * r + 128 * r * p + 1024 * 1024;
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize('NFKC'), salt, 32, { N, r, p, maxmem }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
