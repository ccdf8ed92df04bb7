/**
 * The order of writes, and who may write. A reader that comes at any moment finds everything that the timestamp it read leads to
 * (TUF 6.2), whoever else writes or dies meanwhile:
 *
 * - a name that holds a version or a digest is written once and never again, so nothing that was referred to ever changes;
 * - `timestamp.json` comes last, in the place of the very version that this writer knows, so a second writer is found out.
 */
import { consistentTargetPath } from '@tidegate/client-sdk/protocol';
import { createHash } from 'node:crypto';
import { BlobError, type BlobBody, type BlobStore } from './blob-store.ts';

/** A role's document as it is published. */
export interface Document {
  version: number;
  bytes: Uint8Array;
}

/** A target or a file beside one: an image, a bundle, `trust/policy.json`. */
export interface PublishedFile {
  /** TUF path, e.g. `acme.dc150/dc150-1.2.0.raucb`. */
  path: string;
  sha256: string;
  /** Bytes. */
  length: number;
  /** Opened only when the store does not hold the file yet. */
  open(): BlobBody | Promise<BlobBody>;
}

/** What a timestamp leads to, as far as it is new. What has not changed may be left out; what is there already is not written again. */
export interface Documents {
  files: PublishedFile[];
  /** By product. */
  products: ReadonlyMap<string, Document>;
  targets?: Document;
  snapshot?: Document;
  /** Oldest first. */
  roots: Document[];
}

export interface Publication extends Documents {
  timestamp: Document;
  /** Tag of the timestamp that all this was made from; null for the first. Another writer in between is found out by it. */
  replaces: string | null;
}

/** What a writer's own record says of `timestamp.json`: the version that it should be, and the one that a crash may have left there. */
export interface KnownTimestamp {
  current: Uint8Array;
  /** SHA-256 of the one before; null when there was none. */
  previous: string | null;
}

export const TIMESTAMP_KEY = 'metadata/timestamp.json';

/** Files on their way at once. Each waits for the disk, or for a round trip. */
const AT_ONCE = 8;

export function metadataKey(role: string, version: number): string {
  return `metadata/${version}.${role}.json`;
}

export function targetKey(path: string, sha256: string): string {
  return `targets/${consistentTargetPath(path, sha256)}`;
}

/**
 * Publishes: documents first, timestamp last. Cut off anywhere before the last write, it has published nothing, and it may be run again.
 * @returns the new timestamp's tag.
 * @throws BlobError as `putDocuments` and `putTimestamp`.
 */
export async function publishMetadata(store: BlobStore, publication: Publication): Promise<string> {
  await putDocuments(store, publication);
  return putTimestamp(store, publication.timestamp.bytes, publication.replaces);
}

/**
 * Stores what the next timestamp will lead to, in the one safe order: images and bundles, product roles, targets, snapshot, and then the
 * roots, because clients look for the next root by its name before they read anything else. When it is done, well or not, nothing of it
 * goes on behind.
 * @throws BlobError `BLOB_EXISTS` when a name holds other bytes already; `BLOB_DIGEST` and `BLOB_LENGTH` when a file is not what was signed.
 */
export async function putDocuments(store: BlobStore, documents: Documents): Promise<void> {
  const { files, products, targets, roots, snapshot } = documents;
  await each(files, (file) => putFile(store, file));
  await each([...products], ([product, role]) => putDocument(store, product, role));
  if (targets !== undefined) await putDocument(store, 'targets', targets);
  if (snapshot !== undefined) await putDocument(store, 'snapshot', snapshot);
  for (const root of roots) await putDocument(store, 'root', root);
}

/**
 * Makes `timestamp.json` what the writer's record says, if a crash kept it from being so, and finds out whether anybody else has written.
 * Nothing may be stored for a next timestamp before this has passed.
 * @param known null before the first publication.
 * @returns the tag that the next timestamp replaces; null where there is none yet.
 * @throws BlobError `BLOB_CHANGED` when the store's timestamp is nothing that this writer has ever put there.
 */
export async function settleTimestamp(
  store: BlobStore,
  known: KnownTimestamp | null,
): Promise<string | null> {
  const stored = await read(store, TIMESTAMP_KEY);
  if (known === null) {
    if (stored === undefined) return null;
    throw new BlobError('BLOB_CHANGED', TIMESTAMP_KEY);
  }
  if (stored === undefined) return putTimestamp(store, known.current, null);
  if (stored.bytes.equals(known.current)) return stored.etag;
  if (known.previous !== null && sha256Of(stored.bytes) === known.previous) {
    return putTimestamp(store, known.current, stored.etag);
  }
  throw new BlobError('BLOB_CHANGED', TIMESTAMP_KEY);
}

/**
 * The last write of every publication.
 * @param replaces tag of the version that this one takes the place of; null where there must be none.
 * @returns the new version's tag.
 * @throws BlobError `BLOB_CHANGED` when somebody else has written since.
 */
export async function putTimestamp(
  store: BlobStore,
  bytes: Uint8Array,
  replaces: string | null,
): Promise<string> {
  try {
    const replace = replaces === null ? {} : { replace: { etag: replaces } };
    return (await store.put(TIMESTAMP_KEY, bytes, replace)).etag;
  } catch (cause) {
    if (!isBlobError(cause, 'BLOB_CHANGED') && !isBlobError(cause, 'BLOB_EXISTS')) throw cause;
    // A network that lost the first answer lets the same put be tried twice: then it is ours.
    const stored = await read(store, TIMESTAMP_KEY);
    if (stored?.bytes.equals(bytes)) return stored.etag;
    throw new BlobError('BLOB_CHANGED', TIMESTAMP_KEY, { cause });
  }
}

/** The name holds the digest, and nothing is stored under it but those bytes: the right length there is the file. */
async function putFile(store: BlobStore, file: PublishedFile): Promise<void> {
  const key = targetKey(file.path, file.sha256);
  const expect = { sha256: file.sha256, length: file.length };
  const there = await store.stat(key);
  if (there?.length === file.length) return;
  if (there !== undefined) throw new BlobError('BLOB_EXISTS', key);
  try {
    await store.put(key, await file.open(), { expect });
  } catch (error) {
    // Somebody else brought the same file meanwhile.
    if (!isBlobError(error, 'BLOB_EXISTS')) throw error;
  }
}

/**
 * The name holds a version only, so the bytes that are there must be compared. Other bytes stay whatever they are: they may be the rest of
 * a publication that was cut off, or what another writer's next timestamp leads to, and nobody can tell.
 */
async function putDocument(store: BlobStore, role: string, { version, bytes }: Document): Promise<void> {
  const key = metadataKey(role, version);
  try {
    await store.put(key, bytes);
  } catch (error) {
    if (!isBlobError(error, 'BLOB_EXISTS')) throw error;
    if (!(await read(store, key))?.bytes.equals(bytes)) throw error;
  }
}

async function read(store: BlobStore, key: string): Promise<{ bytes: Buffer; etag: string } | undefined> {
  const blob = await store.get(key);
  if (blob === undefined) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of blob.body) chunks.push(Buffer.from(chunk as Uint8Array));
  return { bytes: Buffer.concat(chunks), etag: blob.stat.etag };
}

/** A few at a time. After a failure nothing more is begun, and what is under way is waited for. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  let failed = false;
  const lane = async (): Promise<void> => {
    for (const item of waiting) {
      if (failed) return;
      await work(item).catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: AT_ONCE }, lane));
  const refused = lanes.find((outcome) => outcome.status === 'rejected');
  if (refused !== undefined) throw refused.reason;
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function isBlobError(error: unknown, code: BlobError['code']): boolean {
  return error instanceof BlobError && error.code === code;
}
