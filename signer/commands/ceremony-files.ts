/** Ceremony files on this machine, and the documents that they are compared with. */
import { resolve } from 'node:path';
import {
  type CeremonyFile,
  type CheckedCeremony,
  checkCeremony,
  MAX_CEREMONY_BYTES,
  mergeCopies,
  parseCeremony,
  stateOf,
  type TrustState,
} from '../ceremony/index.ts';
import { readWorkingCopy } from '../repository/index.ts';
import { type CommandContext, now } from './context.ts';
import { exists, type Home, homeOf } from './home.ts';
import { readSmallFile } from './options.ts';

/**
 * Reads one file, or several copies of it that people have signed apart, and looks through it.
 * @throws CommandError `FILE_UNREADABLE`, `FILE_TOO_LARGE`; CeremonyError as `parseCeremony`, `mergeCopies`, `checkCeremony`.
 */
export async function openCeremony(
  context: CommandContext,
  names: readonly [string, ...string[]],
): Promise<CheckedCeremony> {
  const [first, ...others] = names;
  const copies: CeremonyFile[] = [];
  for (const name of others) copies.push(await readCeremonyFile(context, name));
  const file = mergeCopies(await readCeremonyFile(context, first), copies);
  return checkCeremony(file, await ownState(homeOf(context)), now(context));
}

/** The documents here; undefined where this machine has none yet. */
export async function ownState(home: Home): Promise<TrustState | undefined> {
  if (!(await exists(home.repository))) return undefined;
  return stateOf(await readWorkingCopy(home.repository));
}

async function readCeremonyFile(context: CommandContext, name: string): Promise<CeremonyFile> {
  const bytes = await readSmallFile(resolve(context.cwd, name), MAX_CEREMONY_BYTES);
  return parseCeremony(bytes, name);
}
