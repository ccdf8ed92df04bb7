/** A connection to one bucket, and what its answers mean. */
import type { S3Client } from '@aws-sdk/client-s3';
import { BlobError } from '@tidegate/signer/repository';
import { StoreError } from './errors.ts';
import type { StoreLocation } from './location.ts';

type Sdk = typeof import('@aws-sdk/client-s3');

export interface Bucket {
  sdk: Sdk;
  client: S3Client;
  /** Of the bucket, in every request. */
  name: string;
  prefix: string;
  /** Longest silence while a body is read, in ms. */
  silenceMs: number;
}

export interface Patience {
  /** Tries of one request, with growing pauses between them. Default 5. */
  attempts: number;
  /** Until a connection stands, in ms. Default 5 s. */
  connectMs: number;
  /** From the first byte of a request to the head of its answer, in ms. Default 2 minutes: a part at half a megabit a second. */
  requestMs: number;
  /** Default 30 s. */
  silenceMs: number;
}

const PATIENCE: Patience = { attempts: 5, connectMs: 5_000, requestMs: 120_000, silenceMs: 30_000 };
/** Chargers may read through the service, each at its own pace and with a connection of its own. */
const CONNECTIONS = 1_024;

/**
 * Asks nothing yet.
 * @throws StoreError `STORE_LIBRARY_MISSING`
 */
export async function openBucket(location: StoreLocation, patience: Partial<Patience> = {}): Promise<Bucket> {
  const { attempts, connectMs, requestMs, silenceMs } = { ...PATIENCE, ...patience };
  const sdk = await loadSdk();
  const agent = { keepAlive: true, maxSockets: CONNECTIONS };
  const client = new sdk.S3Client({
    ...(location.endpoint === undefined ? {} : { endpoint: location.endpoint }),
    ...(location.region === undefined ? {} : { region: location.region }),
    forcePathStyle: location.pathStyle,
    maxAttempts: attempts,
    // Whoever reads a blob checks its digest or its signatures, and a checksum over parts cannot be checked on a range.
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: connectMs,
      requestTimeout: requestMs,
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
    },
    // Its own default prints warnings to the console.
    logger: SILENT,
  });
  return { sdk, client, name: location.bucket, prefix: location.prefix, silenceMs };
}

/** Only who asks for S3 pays for it: the library is large, and may be left out of an installation. */
async function loadSdk(): Promise<Sdk> {
  try {
    return await import('@aws-sdk/client-s3');
  } catch (cause) {
    throw new StoreError('STORE_LIBRARY_MISSING', 'The library cannot be loaded.', { cause });
  }
}

const nothing = (): void => undefined;
const SILENT = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

/** Which object, as every command wants it. */
export function object(bucket: Bucket, key: string): { Bucket: string; Key: string } {
  return { Bucket: bucket.name, Key: `${bucket.prefix}${key}` };
}

/** HTTP status of an answer that the SDK threw; undefined when there was none. */
export function statusOf(error: unknown): number | undefined {
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
  return $metadata?.httpStatusCode;
}

/** S3's code of an error, or the network's. */
export function nameOf(error: unknown): string {
  const { name, code } = error as { name?: unknown; code?: unknown };
  return String(code ?? name);
}

/** An answer to HEAD has no body that could say more. */
export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket';
}

export function unavailable(key: string, cause: unknown): BlobError {
  return cause instanceof BlobError ? cause : new BlobError('BLOB_UNAVAILABLE', key, { cause });
}

/** An answer that no store gives which keeps to the protocol. */
export class UnfitAnswer extends Error {
  override readonly name = 'UnfitAnswer';
}

/** Without its quotes. */
export function tagOf(etag: string | undefined): string {
  if (etag === undefined) throw new UnfitAnswer('The store gave no ETag.');
  return etag.replaceAll('"', '');
}

export function quoted(etag: string): string {
  return `"${etag}"`;
}
