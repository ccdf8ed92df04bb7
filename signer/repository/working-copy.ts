/**
 * The release engineers' own copy of the signed metadata: a folder that holds
 * - `<n>.root.json`, `<n>.targets.json`, `<n>.<product>.json`: every version that was made here;
 * - `trust/<sha256>.policy.json`, `trust/<sha256>.sigstore_root.json`: what the targets list, by digest;
 * - `trust/policy.json`, `trust/sigstore_root.json`: the newest of these, for people and for the service's first start;
 * - `pending.json`: documents that count together, on their way into the files above. Whoever reads the folder brings them there first.
 *
 * What is read from it counts only as far as it is signed.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  consistentTargetPath,
  POLICY_TARGET,
  SIGSTORE_ROOT_TARGET,
  type TrustPolicy,
} from '@tidegate/client-sdk/protocol';
import { parsePolicy } from '@tidegate/client-sdk/trust';
import { writeWhole } from '../whole-file.ts';
import { RepositoryError } from './errors.ts';
import { encode, type Metadata, type Root, type Signed, type Targets } from './metadata.ts';
import { productRole, productsOf, topLevelRole } from './products.ts';
import { checkSigned } from './signatures.ts';

/** A document, and the exact bytes that are published. */
export interface SignedDocument<T extends Signed> {
  bytes: Buffer;
  metadata: Metadata<T>;
}

export interface WorkingCopy {
  /** The newest. */
  root: SignedDocument<Root>;
  targets: SignedDocument<Targets>;
  policy: TrustPolicy;
  /** `trust/policy.json`, verbatim. */
  policyText: string;
  sigstoreRoot: Buffer;
  /** The newest role of each delegated product. */
  products: ReadonlyMap<string, SignedDocument<Targets>>;
}

/**
 * Reads the newest of everything and verifies every signature, from the root down. Expiry is not judged: the desk is where
 * an expired role is signed again.
 * @throws RepositoryError `WORKING_COPY_MISSING`, `WORKING_COPY_BROKEN`.
 */
export async function readWorkingCopy(folder: string): Promise<WorkingCopy> {
  const versions = await listVersions(folder);
  return unbroken(folder, async () => {
    const root = await readRoots(folder, versions.get('root') ?? []);
    const targets = await readNewest<Targets>(folder, 'targets', versions);
    checkSigned(targets.metadata, topLevelRole(root.metadata, 'targets'));
    const products = new Map<string, SignedDocument<Targets>>();
    for (const product of productsOf(targets.metadata)) {
      const role = await readNewest<Targets>(folder, product, versions);
      checkSigned(role.metadata, productRole(targets.metadata, product));
      products.set(product, role);
    }
    const policy = await readTrustFile(folder, targets.metadata, POLICY_TARGET);
    return {
      root,
      targets,
      policy: parsePolicy(policy),
      policyText: policy.toString('utf8'),
      sigstoreRoot: await readTrustFile(folder, targets.metadata, SIGSTORE_ROOT_TARGET),
      products,
    };
  });
}

/** Writes one document, whole. */
export async function writeDocument(folder: string, role: string, metadata: Metadata): Promise<void> {
  await writeWhole(join(folder, `${metadata.signed.version}.${role}.json`), encode(metadata));
}

/** Writes a file below `trust/`. Write it before the targets that list it. */
export async function writeTrustFile(folder: string, path: string, bytes: Uint8Array): Promise<void> {
  await writeWhole(join(folder, consistentTargetPath(path, sha256Of(bytes))), bytes);
  await writeWhole(join(folder, path), bytes);
}

/** Documents that count together or not at all: a new root and the targets that only it trusts. */
export interface Commit {
  /** By role name. */
  documents: Record<string, Metadata>;
  /** By path below `trust/`. */
  trustFiles: Record<string, string>;
}

const PENDING = 'pending.json';

/**
 * Writes several documents as one change. The moment of change is the rename of `pending.json`: a crash before it leaves the old state,
 * one after it the new, which the next reader completes.
 */
export async function commitDocuments(folder: string, commit: Commit): Promise<void> {
  await completePending(folder);
  await writeWhole(join(folder, PENDING), JSON.stringify(commit));
  await completePending(folder);
}

async function completePending(folder: string): Promise<void> {
  const text = await readFile(join(folder, PENDING), 'utf8').catch(() => undefined);
  if (text === undefined) return;
  const { documents, trustFiles } = JSON.parse(text) as Commit;
  for (const [path, file] of Object.entries(trustFiles)) {
    await writeTrustFile(folder, path, Buffer.from(file));
  }
  for (const [role, metadata] of Object.entries(documents)) await writeDocument(folder, role, metadata);
  await rm(join(folder, PENDING), { force: true });
}

/** Each root is signed by itself and by the one before. TUF 5.3.4 */
async function readRoots(folder: string, versions: number[]): Promise<SignedDocument<Root>> {
  let last: SignedDocument<Root> | undefined;
  for (const version of versions) {
    const root = await readDocument<Root>(folder, 'root', version);
    checkSigned(root.metadata, topLevelRole(root.metadata, 'root'));
    if (last !== undefined) checkSigned(root.metadata, topLevelRole(last.metadata, 'root'));
    last = root;
  }
  if (last === undefined) throw new RepositoryError('WORKING_COPY_MISSING', folder);
  return last;
}

async function readNewest<T extends Signed>(
  folder: string,
  role: string,
  versions: ReadonlyMap<string, number[]>,
): Promise<SignedDocument<T>> {
  const newest = versions.get(role)?.at(-1);
  if (newest === undefined) throw new RepositoryError('WORKING_COPY_BROKEN', `No ${role} in ${folder}`);
  return readDocument(folder, role, newest);
}

async function readDocument<T extends Signed>(
  folder: string,
  role: string,
  version: number,
): Promise<SignedDocument<T>> {
  const bytes = await readFile(join(folder, `${version}.${role}.json`));
  const metadata = JSON.parse(bytes.toString('utf8')) as Metadata<T>;
  if (metadata.signed.version !== version) throw new Error(`${version}.${role}.json is another version`);
  return { bytes, metadata };
}

/** A file below `trust/`, under the digest that these targets list. */
export async function readTrustFile(
  folder: string,
  targets: Metadata<Targets>,
  path: string,
): Promise<Buffer> {
  const sha256 = targets.signed.targets[path]?.hashes.sha256 ?? '';
  const bytes = await readFile(join(folder, consistentTargetPath(path, sha256)));
  if (sha256Of(bytes) !== sha256) throw new Error(`${path} is not the file that the targets list`);
  return bytes;
}

/** Versions by role, ascending. */
export async function listVersions(folder: string): Promise<Map<string, number[]>> {
  await unbroken(folder, () => completePending(folder));
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new RepositoryError('WORKING_COPY_MISSING', folder, { cause });
  });
  const versions = new Map<string, number[]>();
  for (const name of names) {
    const [, version, role] = /^([1-9]\d{0,14})\.(.+)\.json$/.exec(name) ?? [];
    if (version === undefined || role === undefined) continue;
    versions.set(role, [...(versions.get(role) ?? []), Number(version)]);
  }
  for (const list of versions.values()) list.sort((a, b) => a - b);
  return versions;
}

/** Runs `read`; whatever it throws means that the folder is damaged. */
export async function unbroken<T>(folder: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof RepositoryError && cause.code.startsWith('WORKING_COPY')) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RepositoryError('WORKING_COPY_BROKEN', `${folder} (${why})`, { cause });
  }
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
