/** Before a store is used, each thing that is needed of it is done once: a store that only seems to do it would be found out too late. */
import { BlobError, type BlobErrorCode } from '@tidegate/signer/repository';
import { type Bucket, nameOf, object, statusOf, UnfitAnswer } from './bucket.ts';
import { StoreError } from './errors.ts';
import { getBlob, statBlob } from './get.ts';
import { putParts, putWhole } from './put.ts';

/** No blob's key begins with a dot. */
const FOLDER = '.check';
const FIRST = Buffer.from('first');
const OTHER = Buffer.from('other');
/** Of no object. */
const NO_TAG = '0'.repeat(32);

/**
 * Leaves nothing behind.
 * @param name of the object that is tried on; nobody else tries on it.
 * @throws StoreError
 */
export async function checkBucket(bucket: Bucket, name: string): Promise<void> {
  const key = `${FOLDER}/${name}`;
  try {
    await checkAccess(bucket, key);
    await checkConditions(bucket, key);
    await checkAbort(bucket, key);
    await checkReads(bucket, key);
  } catch (error) {
    // The first failure is what is told.
    await remove(bucket, key).catch(() => undefined);
    throw explained(error);
  }
  await remove(bucket, key).catch((error: unknown) => {
    throw explained(error);
  });
}

/** Reading what is not there tells a missing bucket, and a missing permission to list, from a missing object. */
async function checkAccess(bucket: Bucket, key: string): Promise<void> {
  if ((await getBlob(bucket, key, undefined)) !== undefined)
    throw unfit('An object is there that nobody put.');
}

async function checkConditions(bucket: Bucket, key: string): Promise<void> {
  const { etag } = await conditional('If-None-Match on PutObject', putWhole(bucket, key, FIRST, undefined));
  const none = undefined;
  const wrong = { etag: NO_TAG };
  await refused('BLOB_EXISTS', 'If-None-Match on PutObject', putWhole(bucket, key, OTHER, none));
  await refused('BLOB_CHANGED', 'If-Match on PutObject', putWhole(bucket, key, OTHER, wrong));
  const multipart = 'on CompleteMultipartUpload';
  await refused('BLOB_EXISTS', `If-None-Match ${multipart}`, putParts(bucket, key, part(OTHER), none));
  await refused('BLOB_CHANGED', `If-Match ${multipart}`, putParts(bucket, key, part(OTHER), wrong));
  await conditional('If-Match on PutObject', putWhole(bucket, key, OTHER, { etag }));
}

/** Elsewhere an upload that cannot be taken back is left to the bucket's own rule, and nobody would notice. */
async function checkAbort({ client, sdk, ...rest }: Bucket, key: string): Promise<void> {
  const of = object({ client, sdk, ...rest }, key);
  const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(of));
  await client.send(new sdk.AbortMultipartUploadCommand({ ...of, UploadId }));
}

async function checkReads(bucket: Bucket, key: string): Promise<void> {
  const stat = await statBlob(bucket, key);
  const blob = await getBlob(bucket, key, { start: 1, end: 2 });
  const bytes = blob === undefined ? undefined : Buffer.concat((await blob.body.toArray()) as Buffer[]);
  const right = bytes?.equals(OTHER.subarray(1, 3)) === true && blob?.stat.etag === stat?.etag;
  if (!right) throw unfit('A range of an object that was just put is not what was put.');
}

async function* part(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** A store may also say that it knows no such condition. */
async function conditional<T>(what: string, write: Promise<T>): Promise<T> {
  try {
    return await write;
  } catch (error) {
    const status = statusOf((error as Error).cause);
    if (status !== 501 && status !== 412) throw error;
    throw new StoreError('STORE_NOT_CONDITIONAL', `${what} is answered with ${status}.`, { cause: error });
  }
}

async function refused(code: BlobErrorCode, what: string, write: Promise<unknown>): Promise<void> {
  try {
    await conditional(what, write.catch(expected(code)));
  } catch (error) {
    if (error instanceof Refused) return;
    throw error;
  }
  throw new StoreError('STORE_NOT_CONDITIONAL', `${what} is ignored.`);
}

class Refused extends Error {}

function expected(code: BlobErrorCode): (error: unknown) => never {
  return (error) => {
    if (error instanceof BlobError && error.code === code) throw new Refused(code, { cause: error });
    throw error;
  };
}

async function remove(bucket: Bucket, key: string): Promise<void> {
  const { DeleteObjectCommand } = bucket.sdk;
  await bucket.client.send(new DeleteObjectCommand(object(bucket, key)));
}

function unfit(detail: string, cause?: unknown): StoreError {
  return new StoreError('STORE_UNFIT', detail, { cause });
}

/** From what the store said to what its operator can do. */
function explained(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const cause = error instanceof BlobError ? error.cause : error;
  if (cause instanceof UnfitAnswer) return unfit(cause.message, cause);
  const [status, name] = [statusOf(cause), nameOf(cause)];
  const detail = status === undefined ? `${name}.` : `It answers ${status} ${name}.`;
  if (name === 'NoSuchBucket' || status === 301) return new StoreError('STORE_NO_BUCKET', detail, { cause });
  if (status === 401 || status === 403 || name === 'CredentialsProviderError') {
    return new StoreError('STORE_DENIED', detail, { cause });
  }
  if (status === undefined || status >= 500) return new StoreError('STORE_UNREACHABLE', detail, { cause });
  return unfit(detail, cause);
}
