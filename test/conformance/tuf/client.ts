/**
 * The command line that theupdateframework/tuf-conformance asks of a client (its CLIENT-CLI.md): `init`, `refresh`, `download`.
 * All verification is the SDK's; the walk of the delegations is here, because a charger never walks them: it reads its own product's role.
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { diskFiles, TrustedSet, TUF } from '@tidegate/client-sdk/trust/tuf';
import { httpRepository } from './http.ts';
import { fetchArtifact } from './artifact.ts';
import { refresh } from './refresh.ts';
import { findTarget } from './search.ts';

export interface World {
  /** Milliseconds since the epoch: the fixed start of the update. TUF 5.1 */
  now: number;
  err(line: string): void;
}

const USAGE = `tuf-client --metadata-dir DIR init ROOT.json
tuf-client --metadata-dir DIR --metadata-url URL refresh
tuf-client --metadata-dir DIR --metadata-url URL --target-name PATH... --target-dir DIR --target-base-url URL download`;

/** @returns the exit code: 0 when all of it succeeded, otherwise 1. */
export async function tufClient(args: string[], world: World): Promise<0 | 1> {
  try {
    await run(args, world);
    return 0;
  } catch (error) {
    world.err(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

async function run(args: string[], { now }: World): Promise<void> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: OPTIONS });
  const [command, file, ...rest] = positionals;
  const state = diskFiles(given(values['metadata-dir']));
  if (command === 'init' && file !== undefined && rest.length === 0) {
    const root = await readFile(file);
    TrustedSet.start(root, {}, TUF);
    return state.write('root.json', root);
  }
  if (file !== undefined) throw new TypeError(USAGE);

  if (command !== 'refresh' && command !== 'download') throw new TypeError(USAGE);
  const metadata = httpRepository(given(values['metadata-url']));
  if (command === 'refresh') return void (await refresh(state, metadata, now));

  const artifacts = httpRepository(given(values['target-base-url']));
  const store = diskFiles(given(values['target-dir']));
  const paths = values['target-name'] ?? [];
  if (paths.length === 0) throw new TypeError(USAGE);
  const trust = await refresh(state, metadata, now);
  for (const path of paths) {
    const target = await findTarget(trust.set.targets, path, trust.load);
    if (target === undefined) throw new Error(`no role lists ${path}`);
    await fetchArtifact(path, target, { store, artifacts, hashed: trust.set.root.consistentSnapshot });
  }
}

const OPTIONS = {
  'metadata-dir': { type: 'string' },
  'metadata-url': { type: 'string' },
  'target-name': { type: 'string', multiple: true },
  'target-dir': { type: 'string' },
  'target-base-url': { type: 'string' },
} as const;

function given(value: string | undefined): string {
  if (value === undefined) throw new TypeError(USAGE);
  return value;
}
