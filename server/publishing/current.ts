/** What is published now: the database says which versions, the blob store has their bytes. */
import { createHash } from 'node:crypto';
import type { Transaction } from 'kysely';
import { sql } from 'kysely';
import { POLICY_TARGET, SIGSTORE_ROOT_TARGET } from '@tidegate/client-sdk/protocol';
import {
  type BlobStore,
  type MetaFile,
  type Metadata,
  metadataKey,
  type Snapshot,
  targetKey,
  type Targets,
} from '@tidegate/signer/repository';
import type { Database, Row } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import type { PublishingDeps } from './types.ts';

/** The documents that people sign, but for the product roles, and the two files that their top-level targets list. */
export interface Documents {
  root: Buffer;
  targets: Buffer;
  policy: Buffer;
  sigstoreRoot: Buffer;
}

export interface Current {
  row: Row<'repository'>;
  documents: Documents;
  /** What the snapshot says of each product's role. The roles themselves are read only by those that need one. */
  roles: ReadonlyMap<string, MetaFile>;
}

/** One publication or refresh of an organisation at a time, across all processes; the lock goes with the transaction. */
export async function lockRepository(trx: Transaction<Database>, organisation: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`tidegate.publishing/${organisation}`}, 0))`.execute(
    trx,
  );
}

/** @returns undefined before the first start has published anything. */
export async function loadRow(
  trx: Transaction<Database>,
  organisation: string,
): Promise<Row<'repository'> | undefined> {
  return trx
    .selectFrom('repository')
    .selectAll()
    .where('organisation', '=', organisation)
    .forUpdate()
    .executeTakeFirst();
}

export async function loadCurrent(
  { blobs }: Pick<PublishingDeps, 'blobs'>,
  row: Row<'repository'>,
): Promise<Current> {
  const [root, targets, snapshot] = await Promise.all([
    readBlob(blobs, metadataKey('root', row.root_version)),
    readBlob(blobs, metadataKey('targets', row.targets_version)),
    readBlob(blobs, metadataKey('snapshot', row.snapshot_version)),
  ]);
  const [policy, sigstoreRoot] = await Promise.all([
    readListed(blobs, targets, POLICY_TARGET),
    readListed(blobs, targets, SIGSTORE_ROOT_TARGET),
  ]);
  return { row, documents: { root, targets, policy, sigstoreRoot }, roles: rolesIn(snapshot) };
}

export function rolesIn(snapshot: Buffer): Map<string, MetaFile> {
  const { signed } = JSON.parse(snapshot.toString('utf8')) as Metadata<Snapshot>;
  const files = Object.entries(signed.meta).filter(([file]) => file !== 'targets.json');
  return new Map(files.map(([file, meta]) => [file.replace(/\.json$/, ''), meta]));
}

/** A file below `trust/`, under the name that these top-level targets give it. */
export async function readListed(blobs: BlobStore, targets: Buffer, path: string): Promise<Buffer> {
  const { signed } = JSON.parse(targets.toString('utf8')) as Metadata<Targets>;
  return readBlob(blobs, targetKey(path, signed.targets[path]?.hashes.sha256 ?? ''));
}

/** Longest metadata document or bundle that is held in memory, in bytes. */
const DOCUMENT_LIMIT = 32 * 1024 * 1024;

/** Reads a blob that the repository refers to; where it is missing, somebody has damaged the store. @throws ApiError `STORE_INCOMPLETE` */
export async function readBlob(blobs: BlobStore, key: string): Promise<Buffer> {
  const bytes = await findBlob(blobs, key);
  if (bytes === undefined) throw new ApiError('STORE_INCOMPLETE', `The store has lost ${key}.`);
  return bytes;
}

export async function findBlob(blobs: BlobStore, key: string): Promise<Buffer | undefined> {
  const blob = await blobs.get(key);
  return blob && collect(blob.body, key);
}

export async function collect(body: AsyncIterable<Buffer>, name: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > DOCUMENT_LIMIT) throw new Error(`${name} is longer than ${DOCUMENT_LIMIT} bytes.`);
    // The next chunk may come in the same memory.
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
