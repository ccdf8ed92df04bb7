/**
 * The shell of the TUF client: reads what is cached, fetches what is newer, verifies it in a `TrustedSet`, and keeps it. TUF 5.3 to 5.6
 *
 * The cache (`tuf/`) is worth nothing by itself: every file in it is verified again from the provisioned root on, and one that does not
 * verify is fetched anew. `trust/marks.json` remembers what the cache may have lost.
 */
import { createHash } from 'node:crypto';
import {
  consistentTargetPath,
  POLICY_TARGET,
  Refusal,
  SIGSTORE_ROOT_TARGET,
  type TrustPolicy,
} from '../protocol/index.ts';
import { MAX_SIGSTORE_ROOT_BYTES } from './sigstore.ts';
import type { Files } from './files.ts';
import { marksFromBytes, marksToBytes } from './marks.ts';
import { MAX_BYTES, type TargetsMetadata } from './metadata.ts';
import { MAX_POLICY_BYTES, parsePolicy } from './policy.ts';
import { TrustedSet } from './trusted-set.ts';

/** Most new roots that one refresh follows. TUF 5.3.3 asks for a bound; a charger may have been away for years. */
const MAX_ROOTS = 1024;
const MARKS_FILE = 'trust/marks.json';

/**
 * @param path below `/tuf/`, e.g. `metadata/timestamp.json`.
 * @param maxBytes longer answers need not be read to their end.
 * @returns undefined when the service has no such file. Throws when it could not be asked.
 */
export type MetadataFetch = (path: string, maxBytes: number) => Promise<Uint8Array | undefined>;

export interface RefreshOptions {
  files: Files;
  fetch: MetadataFetch;
  /** Trusted time, from `trustedNow`. */
  now: number;
  provisioning: {
    /** `N.root.json` as it was built into the image. */
    root: Uint8Array;
    product: string;
  };
  /** From the check-in's answer, so that an idle poll fetches nothing. It is as untrusted as everything fetched. */
  hint?: { timestamp: string; rootVersion: number } | undefined;
  /** What the last call returned, so that an idle poll reads nothing either. */
  previous?: TrustResult | undefined;
}

export interface TrustResult {
  set: TrustedSet;
  policy: TrustPolicy;
  /** `trust/sigstore_root.json`, verbatim. */
  sigstoreRoot: Uint8Array;
  /** The product role as it was verified. */
  productTargets: TargetsMetadata;
  /** The timestamp file as it was offered: the same bytes again mean that nothing is new. */
  timestampBytes: Uint8Array;
}

/** @throws Refusal METADATA_*, ROOT_VERSION, DELEGATION_INVALID, POLICY_MALFORMED, TARGET_UNKNOWN; and what `fetch` throws. */
export async function refreshTrust(options: RefreshOptions): Promise<TrustResult> {
  const known = unchanged(options);
  if (known !== undefined) return known;
  const { files, now, provisioning } = options;
  const store: Store = { files, fetch: options.fetch };
  const set = TrustedSet.start(provisioning.root, await readMarks(files));

  await walkRoots(set, store, options.hint?.rootVersion);
  await recallEarlier(set, store);
  const timestampBytes = await takeTimestamp(set, store, now, options.hint?.timestamp);
  await takeSnapshot(set, store, now);
  await takeTargets(set, store, now);
  const productTargets = await takeProductRole(set, store, now, provisioning.product);
  const policyBytes = await takeTopTarget(set, store, POLICY_TARGET, MAX_POLICY_BYTES);
  const sigstoreRoot = await takeTopTarget(set, store, SIGSTORE_ROOT_TARGET, MAX_SIGSTORE_ROOT_BYTES);
  return { set, policy: parsePolicy(policyBytes), sigstoreRoot, productTargets, timestampBytes };
}

interface Store {
  files: Files;
  fetch: MetadataFetch;
}

function unchanged({ hint, previous, now, provisioning }: RefreshOptions): TrustResult | undefined {
  if (hint === undefined || previous === undefined) return undefined;
  const same =
    hint.rootVersion === previous.set.root.version &&
    Buffer.from(hint.timestamp).equals(previous.timestampBytes) &&
    previous.set.has(provisioning.product);
  if (!same) return undefined;
  previous.set.refuseExpired(now);
  return previous;
}

/** TUF 5.3: one version after the other, each kept for ever, so that the chain from the provisioned root can be walked again. */
async function walkRoots(set: TrustedSet, store: Store, newest: number | undefined): Promise<void> {
  for (let walked = 0; walked < MAX_ROOTS; walked++) {
    const file = `${set.root.version + 1}.root.json`;
    const cached = await store.files.read(`tuf/${file}`, MAX_BYTES.root);
    if (cached !== undefined && accepted(() => set.updateRoot(cached))) continue;
    if (newest !== undefined && set.root.version >= newest) return;
    const fetched = await store.fetch(`metadata/${file}`, MAX_BYTES.root);
    if (fetched === undefined) return;
    set.updateRoot(fetched);
    await store.files.write(`tuf/${file}`, fetched); // TUF 5.3.8
  }
}

/** What an earlier run trusted is the measure for what comes now, and nothing more. */
async function recallEarlier(set: TrustedSet, { files }: Store): Promise<void> {
  const timestamp = await files.read('tuf/timestamp.json', MAX_BYTES.timestamp);
  if (timestamp !== undefined) accepted(() => set.recallTimestamp(timestamp));
  const snapshot = await files.read('tuf/snapshot.json', MAX_BYTES.snapshot);
  if (snapshot !== undefined) accepted(() => set.recallSnapshot(snapshot));
}

async function takeTimestamp(set: TrustedSet, store: Store, now: number, hint?: string): Promise<Uint8Array> {
  const offered =
    hint !== undefined
      ? Buffer.from(hint)
      : await fetchNamed(store, 'metadata/timestamp.json', MAX_BYTES.timestamp);
  set.updateTimestamp(offered, now);
  // At an equal version the earlier one stays in force, on the disk as well. TUF 5.4.3.1
  if (!set.keptEarlierTimestamp) await keep(set, store, 'tuf/timestamp.json', offered); // TUF 5.4.5
  return offered;
}

async function takeSnapshot(set: TrustedSet, store: Store, now: number): Promise<void> {
  const file = `metadata/${set.timestamp.snapshot.version}.snapshot.json`;
  await takeRole(set, store, 'tuf/snapshot.json', file, MAX_BYTES.snapshot, (bytes) =>
    set.updateSnapshot(bytes, now),
  );
}

async function takeTargets(set: TrustedSet, store: Store, now: number): Promise<void> {
  const version = set.snapshot.meta.get('targets.json')?.version ?? 0;
  await takeRole(
    set,
    store,
    'tuf/targets.json',
    `metadata/${version}.targets.json`,
    MAX_BYTES.targets,
    (bytes) => set.updateTargets(bytes, now),
  );
}

async function takeProductRole(
  set: TrustedSet,
  store: Store,
  now: number,
  product: string,
): Promise<TargetsMetadata> {
  const version = set.snapshot.meta.get(`${product}.json`)?.version ?? 0;
  const file = `metadata/${version}.${product}.json`;
  await takeRole(set, store, `tuf/${product}.json`, file, MAX_BYTES.targets, (bytes) =>
    set.updateProductRole(product, bytes, now),
  );
  return set.productRole(product);
}

/** The cached file where it is still the one that the parent names, else the fetched one. */
async function takeRole(
  set: TrustedSet,
  store: Store,
  cachePath: string,
  file: string,
  maxBytes: number,
  update: (bytes: Uint8Array) => unknown,
): Promise<void> {
  const cached = await store.files.read(cachePath, maxBytes);
  if (cached !== undefined && accepted(() => update(cached))) {
    await keepMarks(set, store.files);
    return;
  }
  const fetched = await fetchNamed(store, file, maxBytes);
  update(fetched);
  await keep(set, store, cachePath, fetched);
}

/** A top-level target, by digest: `trust/*` is small, so it is read whole. */
async function takeTopTarget(
  set: TrustedSet,
  store: Store,
  path: string,
  maxBytes: number,
): Promise<Uint8Array> {
  const { sha256, length } = set.topTarget(path);
  const right = (bytes: Uint8Array) =>
    bytes.length === length && createHash('sha256').update(bytes).digest('hex') === sha256;
  if (length > maxBytes) throw new Refusal('METADATA_TOO_LARGE', `${path}: ${length} bytes`);
  const cachePath = `tuf/${path}`;
  const cached = await store.files.read(cachePath, maxBytes);
  if (cached !== undefined && right(cached)) return cached;
  const fetched = await fetchNamed(store, `targets/${consistentTargetPath(path, sha256)}`, length);
  if (!right(fetched)) throw new Refusal('METADATA_MISMATCH', `${path} has another digest than targets say`);
  await store.files.write(cachePath, fetched);
  return fetched;
}

async function fetchNamed({ fetch }: Store, path: string, maxBytes: number): Promise<Uint8Array> {
  const bytes = await fetch(path, maxBytes);
  if (bytes === undefined) throw new Refusal('METADATA_MISMATCH', `the service has no ${path}`);
  return bytes;
}

/** The mark first: a power cut in between leaves a mark above the cache, and the cache is fetched anew. */
async function keep(set: TrustedSet, { files }: Store, cachePath: string, bytes: Uint8Array): Promise<void> {
  await keepMarks(set, files);
  await files.write(cachePath, bytes);
}

async function keepMarks(set: TrustedSet, files: Files): Promise<void> {
  const bytes = marksToBytes(set.marks());
  if ((await files.read(MARKS_FILE))?.equals(bytes) !== true) await files.write(MARKS_FILE, bytes);
}

async function readMarks(files: Files) {
  const bytes = await files.read(MARKS_FILE);
  return bytes === undefined ? {} : (marksFromBytes(bytes) ?? {});
}

/** Whether a cached file still verifies. A torn one does not, and is as good as none. */
function accepted(update: () => unknown): boolean {
  try {
    update();
    return true;
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}
