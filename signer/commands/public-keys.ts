/** Public keys as people hand them over: a PEM file, a Tidegate key file (whose public half is in the clear), or what `key show --json` says. */
import { resolve } from 'node:path';
import type { ServiceKeys } from '../ceremony/index.ts';
import { KeyError, peekKeyFile, type PublicKey, publicKeyOf } from '../keys/index.ts';
import { readSmallFile } from './options.ts';

const MAX_KEY_BYTES = 16 * 1024;

/** @throws KeyError `KEY_MALFORMED`, `KEY_SCHEME`, `KEY_MISMATCH`; CommandError `FILE_UNREADABLE`, `FILE_TOO_LARGE`. */
export async function readPublicKey(cwd: string, file: string): Promise<PublicKey> {
  const path = resolve(cwd, file);
  const text = (await readSmallFile(path, MAX_KEY_BYTES)).toString('utf8');
  if (text.includes('PRIVATE KEY')) throw new KeyError('KEY_MALFORMED', `${path} is a private key`);
  if (!text.trimStart().startsWith('{')) return publicKeyOf(text);
  const value = readJson(path, text);
  if (value?.['_type'] === 'tidegate-key') return peekKeyFile(path);
  const pem = value?.['publicKey'];
  if (typeof pem !== 'string') throw new KeyError('KEY_MALFORMED', path);
  return publicKeyOf(pem);
}

/**
 * The service's public halves, as `key service` writes them.
 * @throws KeyError, CommandError as `readPublicKey`.
 */
export async function readServiceKeys(cwd: string, file: string): Promise<ServiceKeys> {
  const path = resolve(cwd, file);
  const value = readJson(path, (await readSmallFile(path, MAX_KEY_BYTES)).toString('utf8'));
  const key = (name: string): PublicKey => {
    const pem = value?.[name];
    if (value?.['_type'] !== 'tidegate-service-keys' || typeof pem !== 'string') {
      throw new KeyError('KEY_MALFORMED', `${path} holds no service keys`);
    }
    return publicKeyOf(pem);
  };
  return { snapshot: key('snapshot'), timestamp: key('timestamp'), director: key('director') };
}

export function encodeServiceKeys({ snapshot, timestamp, director }: ServiceKeys): string {
  const file = {
    _type: 'tidegate-service-keys',
    snapshot: snapshot.publicKey,
    timestamp: timestamp.publicKey,
    director: director.publicKey,
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

function readJson(path: string, text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch (cause) {
    throw new KeyError('KEY_MALFORMED', path, { cause });
  }
}
