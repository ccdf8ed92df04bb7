/** The order of writes. A reader that comes at any moment finds everything that the timestamp it read leads to. TUF 6.2 */
import { createHash } from 'node:crypto';
import { consistentTargetPath } from '@tidegate/client-sdk/protocol';
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

/** What is new. What has not changed may be left out; what is there already is not written again. */
export interface Publication {
  files: PublishedFile[];
  /** By product. */
  products: ReadonlyMap<string, Document>;
  targets?: Document;
  /** Oldest first. */
  roots: Document[];
  snapshot?: Document;
  timestamp: Document;
  /** Tag of the timestamp that all this was made from; null for the first. Another writer in between is found out by it. */
  replaces: string | null;
}

export const TIMESTAMP_KEY = 'metadata/timestamp.json';

export function metadataKey(role: string, version: number): string {
  return `metadata/${version}.${role}.json`;
}

export function targetKey(path: string, sha256: string): string {
  return `targets/${consistentTargetPath(path, sha256)}`;
}

/**
 * Publishes, in the one safe order: images and bundles, product roles, targets, root, snapshot, and timestamp last. Cut off
 * anywhere before the last write, it has published nothing, and it may be run again.
 * @returns the new timestamp's tag.
 * @throws BlobError `BLOB_EXISTS` when a name that never changes holds other bytes; `BLOB_CHANGED` when somebody else published
 *   meanwhile; `BLOB_DIGEST` and `BLOB_LENGTH` when a file is not what was signed.
 */
export async function publishMetadata(store: BlobStore, publication: Publication): Promise<string> {
  const { files, products, targets, roots, snapshot, timestamp, replaces } = publication;
  for (const file of files) await putFile(store, file);
  for (const [product, role] of products) await putDocument(store, product, role);
  if (targets !== undefined) await putDocument(store, 'targets', targets);
  for (const root of roots) await putDocument(store, 'root', root);
  if (snapshot !== undefined) await putDocument(store, 'snapshot', snapshot);
  const replace = replaces === null ? {} : { replace: { etag: replaces } };
  return (await store.put(TIMESTAMP_KEY, timestamp.bytes, replace)).etag;
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
    if (!(error instanceof BlobError && error.code === 'BLOB_EXISTS')) throw error;
  }
}

/** The name holds a version only, so the bytes that are there must be compared. */
async function putDocument(store: BlobStore, role: string, { version, bytes }: Document): Promise<void> {
  const key = metadataKey(role, version);
  try {
    await store.put(key, bytes);
  } catch (error) {
    if (!(error instanceof BlobError && error.code === 'BLOB_EXISTS')) throw error;
    if ((await digestOf(store, key)) !== createHash('sha256').update(bytes).digest('hex')) throw error;
  }
}

async function digestOf(store: BlobStore, key: string): Promise<string | undefined> {
  const blob = await store.get(key);
  if (blob === undefined) return undefined;
  const hash = createHash('sha256');
  for await (const chunk of blob.body) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
