import {
  type BlobStore,
  type ByteRange,
  checkKey,
  checkRange,
  type PutOptions,
  type BlobBody,
} from '@tidegate/signer/repository';
import { type Bucket, object, unavailable } from './bucket.ts';
import { getBlob, statBlob } from './get.ts';
import { checked, inParts } from './parts.ts';
import { putParts, putWhole } from './put.ts';

/** Up to this long, a blob goes in one request; beyond, in parts of this length. */
export const PART_BYTES = 8 * 1024 * 1024;
/** docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
const MOST_PARTS = 10_000;

/** Blobs as objects of a bucket. */
export function s3Blobs(bucket: Bucket, partBytes: number = PART_BYTES): BlobStore {
  return {
    async put(key, body, { expect, replace }: PutOptions = {}) {
      checkKey(key);
      const first = sizeOf(body) ?? expect?.length ?? partBytes;
      const limits = { size: partBytes, limit: MOST_PARTS, first };
      const parts = inParts(key, checked(key, body, expect), limits);
      const one = await parts.next();
      if (one.done === true) throw new Error('A body has at least one part.');
      const two = await parts.next();
      if (two.done === true) return putWhole(bucket, key, one.value, replace);
      return putParts(bucket, key, after([one.value, two.value], parts), replace);
    },

    async get(key, range) {
      checkKey(key);
      if (range === undefined || isRange(range)) return getBlob(bucket, key, range);
      const there = await statBlob(bucket, key);
      if (there !== undefined) checkRange(key, range, there.length);
      return undefined;
    },

    async stat(key) {
      checkKey(key);
      return statBlob(bucket, key);
    },

    async remove(key) {
      checkKey(key);
      const { DeleteObjectCommand } = bucket.sdk;
      await bucket.client.send(new DeleteObjectCommand(object(bucket, key))).catch((error: unknown) => {
        throw unavailable(key, error);
      });
    },
  };
}

function sizeOf(body: BlobBody): number | undefined {
  return body instanceof Uint8Array ? body.length : undefined;
}

/** One that S3 would not answer with something else. */
function isRange({ start, end }: ByteRange): boolean {
  return Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end;
}

async function* after(first: Buffer[], rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield* first;
  yield* rest;
}
