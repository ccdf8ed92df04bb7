import { randomBytes } from 'node:crypto';
import type { BlobStore } from '@tidegate/signer/repository';
import { openBucket, type Patience } from './bucket.ts';
import { checkBucket } from './check.ts';
import type { StoreLocation } from './location.ts';
import { s3Blobs } from './s3-blobs.ts';

export interface S3Settings extends Patience {
  /** Length of the parts of a large blob, in bytes; at least 5 MiB. Default 8 MiB. */
  partBytes: number;
}

/**
 * Connects, and tries everything out that will be needed.
 * @returns the store, and how to let its connections go.
 * @throws StoreError
 */
export async function openS3(
  location: StoreLocation,
  settings: Partial<S3Settings> = {},
): Promise<{ blobs: BlobStore; close: () => void }> {
  const bucket = await openBucket(location, settings);
  try {
    await checkBucket(bucket, randomBytes(12).toString('hex'));
  } catch (error) {
    bucket.client.destroy();
    throw error;
  }
  return { blobs: s3Blobs(bucket, settings.partBytes), close: () => bucket.client.destroy() };
}
