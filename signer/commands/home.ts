/** The state directory: `./.tidegate`, or what `TIDEGATE_HOME` names. */
import { access, readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { writeWhole } from '../whole-file.ts';
import type { CommandContext } from './context.ts';
import { CommandError } from './errors.ts';

export interface Home {
  folder: string;
  /** `<person>/{root,targets,<product>}.key.json`, offline; `ci/build.key.json`. */
  keys: string;
  /** The engineers' working copy of the signed metadata. */
  repository: string;
  /** Proposals being signed: `<product>-<version>.json`. */
  releases: string;
  /** `<name>.json`, one for each person who calls the service. */
  credentials: string;
  /** What the service needs. */
  service: string;
  /** Below `service`: the signed metadata that it starts with. */
  initial: string;
  /** Who was named at the ceremony. */
  ceremony: string;
}

export function homeOf(context: Pick<CommandContext, 'cwd' | 'env'>): Home {
  return homeAt(resolve(context.cwd, context.env['TIDEGATE_HOME'] || '.tidegate'));
}

export function homeAt(folder: string): Home {
  return {
    folder,
    keys: join(folder, 'keys'),
    repository: join(folder, 'repository'),
    releases: join(folder, 'releases'),
    credentials: join(folder, 'credentials'),
    service: join(folder, 'service'),
    initial: join(folder, 'service', 'initial'),
    ceremony: join(folder, 'ceremony.json'),
  };
}

/** `ceremony.json`: the names that `init` and `product add` were given. Nothing in it is secret, and nothing trusts it. */
export interface Ceremony {
  organisation: string;
  /** Holders of root and targets keys. */
  people: string[];
  /** Who signs releases unless a product says otherwise. */
  engineers: string[];
  operators: string[];
  /** By product: what it comes on, so that a misspelt hardware id is found before it is signed. */
  products: Record<string, { hardware: string[] }>;
}

/** @throws CommandError `STATE_MISSING`. */
export async function readCeremony(home: Home): Promise<Ceremony> {
  try {
    return JSON.parse(await readFile(home.ceremony, 'utf8')) as Ceremony;
  } catch (cause) {
    throw new CommandError('STATE_MISSING', home.folder, { cause });
  }
}

export async function writeCeremony(home: Home, ceremony: Ceremony): Promise<void> {
  await writeWhole(home.ceremony, `${JSON.stringify(ceremony, null, 2)}\n`, { mode: 0o600 });
}

export function personKey(home: Home, person: string, name: string): string {
  return join(home.keys, person, `${name}.key.json`);
}

/** How to name a key on the command line, from where the person is; after a ceremony everybody knows where their own is. */
export async function keyHint(home: Home, cwd: string, name: string): Promise<string> {
  if (!(await exists(home.keys))) return '<your key>';
  return join(relative(cwd, home.keys) || '.', '<you>', `${name}.key.json`);
}

/**
 * Whether signed metadata still waits for the service's first start: from then on the service's own store counts, and every
 * change is a new version.
 */
export async function awaitsFirstStart(home: Home): Promise<boolean> {
  const started = await exists(join(home.service, 'tuf', 'metadata', 'timestamp.json'));
  return !started && (await exists(home.initial));
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
