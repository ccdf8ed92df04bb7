/** Key files on this machine: opening them, and knowing whose they are. */
import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KeyError, openKeyFile, passphraseIn, peekKeyFile, type PrivateKey } from '../keys/index.ts';
import { peopleOf, type Role, type WorkingCopy } from '../repository/index.ts';
import type { CommandContext } from './context.ts';
import { type Home, personKey } from './home.ts';

/**
 * Opens a key file with the passphrase from `TIDEGATE_PASSPHRASE`, else from a file `passphrase` beside it, which only a
 * development ceremony writes.
 * @throws KeyError
 */
export async function openKey(context: Pick<CommandContext, 'env'>, path: string): Promise<PrivateKey> {
  const passphrase = context.env['TIDEGATE_PASSPHRASE'] || (await passphraseIn(dirname(path)));
  return openKeyFile(path, passphrase);
}

/** People with a folder of keys on this machine. */
export async function keyHolders(home: Home): Promise<string[]> {
  const folders = await readdir(home.keys).catch((): string[] => []);
  return folders.filter((name) => name !== 'ci').sort();
}

/** Key id → person, for the keys of a role whose holders the signed targets name, or that are on this machine. */
export async function holdersKnown(
  home: Home,
  role: Role,
  { targets }: Pick<WorkingCopy, 'targets'>,
): Promise<Map<string, string>> {
  const named = [...peopleOf(targets.metadata)].filter(([keyId]) => role.keyids.includes(keyId));
  return new Map([...(await holdersHere(home, role)), ...named]);
}

/** Key id → person, for the keys of a role that are on this machine. */
export async function holdersHere(home: Home, role: Role): Promise<Map<string, string>> {
  const holders = new Map<string, string>();
  for (const person of await keyHolders(home)) {
    const keyId = await keyIdIfThere(personKey(home, person, role.name));
    if (keyId !== undefined && role.keyids.includes(keyId)) holders.set(keyId, person);
  }
  return holders;
}

/** A key by its holder's name where that is known here, else by its id. */
export function nameOf(keyId: string, holders: ReadonlyMap<string, string>): string {
  return holders.get(keyId) ?? `key ${keyId.slice(0, 8)}`;
}

async function keyIdIfThere(path: string): Promise<string | undefined> {
  try {
    return (await peekKeyFile(path)).keyId;
  } catch (error) {
    // Somebody else's damaged file does not keep the others from signing.
    if (error instanceof KeyError) return undefined;
    throw error;
  }
}
