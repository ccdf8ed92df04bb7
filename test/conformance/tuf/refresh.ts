/**
 * The client workflow for the top-level roles, as the specification has it: what was trusted earlier is `DIR/<role>.json`, and nothing else
 * is remembered. (A charger keeps the chain of roots and its high-water marks besides.) TUF 5.2 to 5.6
 */
import {
  MAX_BYTES,
  TrustedSet,
  TUF,
  type DelegatedRole,
  type Files,
  type TargetsMetadata,
} from '@tidegate/client-sdk/trust/tuf';
import type { RepositoryGet } from './http.ts';
import { fileName, urlSegment } from './names.ts';

/** Most new roots that one refresh follows. TUF 5.3.3 */
const MAX_ROOTS = 1024;

export interface Trust {
  set: TrustedSet;
  /** A delegated role, verified as this delegator hands it on. */
  load: (delegator: TargetsMetadata, role: DelegatedRole) => Promise<TargetsMetadata>;
}

export async function refresh(state: Files, get: RepositoryGet, now: number): Promise<Trust> {
  const set = await followRoots(state, get);
  await recall(state, set);
  const offered = await fetched(get, 'timestamp.json', MAX_BYTES.timestamp);
  set.updateTimestamp(offered, now);
  // At an equal version the earlier one stays in force. TUF 5.4.3.1
  if (!set.keptEarlierTimestamp) await state.write('timestamp.json', offered);

  const take = roleTaker(state, get, set);
  await take('snapshot', set.timestamp.snapshot.version, MAX_BYTES.snapshot, (bytes) =>
    set.updateSnapshot(bytes, now),
  );
  await take('targets', listed(set, 'targets'), MAX_BYTES.targets, (bytes) => set.updateTargets(bytes, now));
  const load: Trust['load'] = (delegator, role) =>
    take(role.name, listed(set, role.name), MAX_BYTES.targets, (bytes) =>
      set.verifyDelegated(delegator, role, bytes, now),
    );
  return { set, load };
}

async function followRoots(state: Files, get: RepositoryGet): Promise<TrustedSet> {
  const trusted = await state.read('root.json', MAX_BYTES.root);
  if (trusted === undefined) throw new Error('there is no trusted root: run init first');
  const set = TrustedSet.start(trusted, {}, TUF);
  for (let followed = 0; followed < MAX_ROOTS; followed++) {
    const next = await get(`${set.root.version + 1}.root.json`, MAX_BYTES.root);
    if (next === undefined) return set;
    set.updateRoot(next);
    await state.write('root.json', next); // TUF 5.3.8
  }
  return set;
}

/** What is expired, or by keys that have been replaced since, is no error: it is only no measure any more. TUF 5.3.11 */
async function recall(state: Files, set: TrustedSet): Promise<void> {
  const timestamp = await state.read('timestamp.json', MAX_BYTES.timestamp);
  if (timestamp !== undefined) attempt(() => set.recallTimestamp(timestamp));
  const snapshot = await state.read('snapshot.json', MAX_BYTES.snapshot);
  if (snapshot !== undefined) attempt(() => set.recallSnapshot(snapshot));
}

/** The trusted file where it is still the one that its parent names, else the fetched one. */
function roleTaker(state: Files, get: RepositoryGet, set: TrustedSet) {
  return async <T>(
    name: string,
    version: number,
    maxBytes: number,
    verify: (bytes: Uint8Array) => T,
  ): Promise<T> => {
    const file = `${fileName(name)}.json`;
    const trusted = await state.read(file, maxBytes);
    const verified = trusted && attempt(() => verify(trusted));
    if (verified) return verified;
    const versioned = set.root.consistentSnapshot ? `${version}.${name}` : name;
    const bytes = await fetched(get, `${urlSegment(versioned)}.json`, maxBytes);
    const result = verify(bytes);
    await state.write(file, bytes);
    return result;
  };
}

function listed(set: TrustedSet, name: string): number {
  const meta = set.snapshot.meta.get(`${name}.json`);
  if (meta === undefined) throw new Error(`the snapshot does not list ${name}`);
  return meta.version;
}

async function fetched(get: RepositoryGet, path: string, maxBytes: number): Promise<Buffer> {
  const bytes = await get(path, maxBytes);
  if (bytes === undefined) throw new Error(`the repository has no ${path}`);
  return bytes;
}

function attempt<T>(verify: () => T): T | undefined {
  try {
    return verify();
  } catch {
    return undefined;
  }
}
