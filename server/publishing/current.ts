/** What is published now: the database says which versions, the blob store has their bytes. */
import { createHash } from 'node:crypto';
import type { Transaction } from 'kysely';
import { sql } from 'kysely';
import { POLICY_TARGET, SIGSTORE_ROOT_TARGET } from '@tidegate/client-sdk/protocol';
import { type BlobStore, metadataKey, targetKey } from '@tidegate/signer/repository';
import type { Database, Row } from '../db/index.ts';
import type { PublishingDeps } from './types.ts';

/** The documents that people sign, and the two files that their top-level targets list. */
export interface Documents {
  root: Buffer;
  targets: Buffer;
  policy: Buffer;
  sigstoreRoot: Buffer;
  /** By product. */
  roles: Map<string, Buffer>;
}

export interface Current {
  row: Row<'repository'>;
  documents: Documents;
  snapshot: Buffer;
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

export async function loadCurrent(deps: PublishingDeps, row: Row<'repository'>): Promise<Current> {
  const metadata = (version: number, role: string) => readBlob(deps.blobs, metadataKey(role, version));
  const targets = await metadata(row.targets_version, 'targets');
  const roles = new Map<string, Buffer>();
  for (const [product, version] of Object.entries(row.roles)) {
    roles.set(product, await metadata(version, product));
  }
  return {
    row,
    snapshot: await metadata(row.snapshot_version, 'snapshot'),
    documents: {
      root: await metadata(row.root_version, 'root'),
      targets,
      roles,
      policy: await readListed(deps.blobs, targets, POLICY_TARGET),
      sigstoreRoot: await readListed(deps.blobs, targets, SIGSTORE_ROOT_TARGET),
    },
  };
}

/** A file below `trust/`, under the name that these top-level targets give it. */
async function readListed(blobs: BlobStore, targets: Buffer, path: string): Promise<Buffer> {
  const { signed } = JSON.parse(targets.toString('utf8')) as {
    signed: { targets: Record<string, { hashes: { sha256: string } }> };
  };
  const sha256 = signed.targets[path]?.hashes.sha256 ?? '';
  return readBlob(blobs, targetKey(path, sha256));
}

/** Longest metadata document or bundle that is held in memory, in bytes. */
const DOCUMENT_LIMIT = 32 * 1024 * 1024;

/** Reads a blob that the repository refers to; where it is missing, somebody has damaged the store. */
export async function readBlob(blobs: BlobStore, key: string): Promise<Buffer> {
  const blob = await blobs.get(key);
  if (blob === undefined) throw new Error(`The blob store has lost ${key}. Restore it from a backup.`);
  return collect(blob.body, key);
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
