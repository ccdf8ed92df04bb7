/**
 * Images and metadata in an S3-compatible store, an adapter of the port `BlobStore`; whoever runs one machine has them in files instead.
 *
 * - `parseLocation('s3://bucket/prefix?…')` says where; `openS3(location)` connects and returns the store only if it does all that is
 *   needed of it, conditional writes above all.
 * - `StoreError` says why it does not.
 */
export { StoreError, STORE_ERRORS, type StoreErrorCode } from './errors.ts';
export { parseLocation, type StoreLocation } from './location.ts';
export { openS3, type S3Settings } from './open.ts';
