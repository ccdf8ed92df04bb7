import { pipeline } from 'node:stream/promises';
import type { Request, Response } from 'express';
import { FILE_NAME, PRODUCT, SHA256 } from '@tidegate/client-sdk/protocol';
import {
  type Blob,
  BlobError,
  type BlobStat,
  type BlobStore,
  type ByteRange,
  TIMESTAMP_KEY,
} from '@tidegate/signer/repository';
import { ApiError } from '../http/index.ts';
import type { DeviceDeps } from './deps.ts';
import { rootVersion } from './repository-state.ts';

/** A consistent name's bytes never change. */
const IMMUTABLE = 'public, max-age=31536000, immutable';
/** `<version>.<role>.json`; a role is a top-level one or a product. */
const METADATA_FILE = /^([1-9]\d{0,15})\.([a-z0-9.-]{1,200})\.json$/;
const TOP_LEVEL = new Set(['root', 'targets', 'snapshot']);

/**
 * `GET /tuf/metadata/<file>`. A root is found by its name alone, so one that a publication has written and not committed yet is not
 * there: what a charger has once trusted cannot be taken back.
 * @throws ApiError `NOT_FOUND`
 */
export async function sendMetadata(
  { blobs, db, organisation }: Pick<DeviceDeps, 'blobs' | 'db' | 'organisation'>,
  file: string,
  response: Response,
): Promise<void> {
  if (file === 'timestamp.json') {
    await sendBlob(blobs, TIMESTAMP_KEY, 'no-store', 'application/json', response);
    return;
  }
  const [, version = '', role] = METADATA_FILE.exec(file) ?? [];
  if (role === undefined || !(TOP_LEVEL.has(role) || PRODUCT.test(role))) throw notThere(file);
  if (role === 'root' && Number(version) > (await rootVersion(db, organisation))) throw notThere(file);
  await sendBlob(blobs, `metadata/${file}`, IMMUTABLE, 'application/json', response);
}

/** `GET /tuf/targets/<product or trust>/<sha256>.<file>`. @throws ApiError `NOT_FOUND`, `RANGE_INVALID` */
export async function sendTarget(
  blobs: BlobStore,
  folder: string,
  file: string,
  response: Response,
): Promise<void> {
  const dot = file.indexOf('.');
  const known = SHA256.test(file.slice(0, dot)) && isFileName(file.slice(dot + 1));
  if (!known || !(folder === 'trust' || PRODUCT.test(folder))) throw notThere(file);
  await sendBlob(blobs, `targets/${folder}/${file}`, IMMUTABLE, 'application/octet-stream', response);
}

/** A bundle is named after its image, so it may be longer than an image's own name. */
function isFileName(name: string): boolean {
  return FILE_NAME.test(name.replace(/\.sigstore\.json$/, ''));
}

/** A blob that is replaced this often between two requests to the store is not worth waiting for. */
const ATTEMPTS = 5;

/** @throws ApiError `NOT_FOUND`, `RANGE_INVALID`, `UNAVAILABLE` */
async function sendBlob(
  blobs: BlobStore,
  key: string,
  cacheControl: string,
  type: string,
  response: Response,
): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const stat = await blobs.stat(key);
    if (stat === undefined) throw notThere(key);
    const etag = `"${stat.etag.replaceAll('"', '')}"`;
    response.set({
      'Cache-Control': cacheControl,
      ETag: etag,
      'Accept-Ranges': 'bytes',
      'Content-Type': type,
    });
    // `fresh` compares If-None-Match with the ETag just set. RFC 9110 §13.1.2
    if (response.req.fresh) {
      response.status(304).end();
      return;
    }
    const range = rangeOf(response.req, stat, etag);
    const blob = await open(blobs, key, range);
    // Replaced in between: neither length, tag nor range would be those of the bytes.
    if (blob === undefined || blob.stat.etag !== stat.etag) {
      blob?.body.destroy();
      continue;
    }
    await send(blob, range, response);
    return;
  }
  throw new ApiError('UNAVAILABLE', `${key} changes again and again.`, { headers: { 'Retry-After': '1' } });
}

/** Undefined where the range does not lie within the blob any more, or the blob is gone. */
async function open(blobs: BlobStore, key: string, range: ByteRange | undefined): Promise<Blob | undefined> {
  try {
    return await blobs.get(key, range);
  } catch (error) {
    if (error instanceof BlobError && error.code === 'BLOB_RANGE') return undefined;
    throw error;
  }
}

async function send({ stat, body }: Blob, range: ByteRange | undefined, response: Response): Promise<void> {
  const length = range === undefined ? stat.length : range.end - range.start + 1;
  response.set('Content-Length', String(length));
  if (range !== undefined) {
    response.status(206).set('Content-Range', `bytes ${range.start}-${range.end}/${stat.length}`);
  }
  try {
    await pipeline(body, response);
  } catch (error) {
    // A charger that hangs up in the middle resumes later; that is no error of the service's.
    if (!response.destroyed && !response.closed) throw error;
  }
}

/** One range, or undefined for the whole file: several at once are answered with all of it, which RFC 9110 §14.2 allows. */
function rangeOf(request: Request, stat: BlobStat, etag: string): ByteRange | undefined {
  const ifRange = request.headers['if-range'];
  if (request.headers.range === undefined || (ifRange !== undefined && ifRange !== etag)) return undefined;
  const ranges = request.range(stat.length);
  if (ranges === -1) {
    const headers = { 'Content-Range': `bytes */${stat.length}` };
    throw new ApiError('RANGE_INVALID', `The file has ${stat.length} bytes.`, { headers });
  }
  if (ranges === undefined || ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1)
    return undefined;
  return ranges[0];
}

function notThere(name: string): ApiError {
  return new ApiError('NOT_FOUND', name.slice(0, 200));
}
