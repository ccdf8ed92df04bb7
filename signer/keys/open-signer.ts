import { dirname, resolve } from 'node:path';
import { readFile } from 'node:fs/promises';
import { KeyError } from './errors.ts';
import { openExec } from './exec.ts';
import { openKeyFile } from './key-file.ts';
import { openPkcs11 } from './pkcs11.ts';
import { parsePkcs11Uri } from './pkcs11-uri.ts';
import type { Environment } from './program.ts';
import type { Signer } from './signer.ts';

export interface KeyHost {
  /** Relative paths start here. */
  cwd: string;
  /** `TIDEGATE_PASSPHRASE`, `TIDEGATE_PKCS11_PIN`, `TIDEGATE_PKCS11_MODULE`, `TIDEGATE_KEY_TIMEOUT`. */
  env: Environment;
}

/**
 * Opens the key that a reference names, wherever it is kept:
 * - `pkcs11:token=…;object=…?module-path=…`: a key in a token (RFC 7512).
 * - `exec:./program`: a key behind a command, see `openExec`.
 * - anything else: an encrypted key file; a path that begins with one of the two is written `./pkcs11:…`.
 * @throws KeyError
 */
export async function openSigner(reference: string, host: KeyHost): Promise<Signer> {
  if (reference.startsWith('pkcs11:')) return openPkcs11(parsePkcs11Uri(reference), host);
  if (reference.startsWith('exec:')) {
    const program = reference.slice('exec:'.length);
    if (program === '' || program.includes('\0')) throw new KeyError('KEY_REFERENCE', reference);
    return openExec(program, host);
  }
  const path = resolve(host.cwd, reference);
  return openKeyFile(path, host.env['TIDEGATE_PASSPHRASE'] || (await passphraseIn(dirname(path))));
}

/** The passphrase that a development ceremony left in a folder of keys; empty where there is none. */
export async function passphraseIn(folder: string): Promise<string> {
  return (await readFile(resolve(folder, 'passphrase'), 'utf8').catch(() => '')).trimEnd();
}
