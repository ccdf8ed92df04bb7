import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openKeyFile, type Signer } from '@tidegate/signer/keys';
import { StartError } from './errors.ts';

export interface OnlineKeys {
  snapshot: Signer;
  timestamp: Signer;
  director: Signer;
}

/**
 * The keys that work without a person. None of them makes firmware valid (design §3).
 * @throws StartError `STATE_MISSING`; KeyError
 */
export async function openOnlineKeys(folder: string): Promise<OnlineKeys> {
  const passphrase = await readFile(join(folder, 'passphrase'), 'utf8').catch((cause: unknown) => {
    throw new StartError('STATE_MISSING', join(folder, 'passphrase'), { cause });
  });
  const open = (name: string): Promise<Signer> =>
    openKeyFile(join(folder, `${name}.key.json`), passphrase.trim());
  const [snapshot, timestamp, director] = await Promise.all([
    open('snapshot'),
    open('timestamp'),
    open('director'),
  ]);
  return { snapshot, timestamp, director };
}
