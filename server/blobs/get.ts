/** The reads. A connection that breaks in the middle of a body is opened again where it broke, for the same version. */
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { type Blob, BlobError, type BlobStat, type ByteRange } from '@tidegate/signer/repository';
import {
  type Bucket,
  isMissing,
  object,
  quoted,
  statusOf,
  tagOf,
  unavailable,
  UnfitAnswer,
} from './bucket.ts';

/** Failures in a row, without a byte in between, until a body is given up. */
const FAILURES = 5;
const PAUSE_MS = 100;

export async function statBlob(bucket: Bucket, key: string): Promise<BlobStat | undefined> {
  const { HeadObjectCommand } = bucket.sdk;
  try {
    const head = await bucket.client.send(new HeadObjectCommand(object(bucket, key)));
    return { length: lengthOf(head.ContentLength), etag: tagOf(head.ETag) };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw unavailable(key, error);
  }
}

/** @param range of whole numbers, the second not below the first. */
export async function getBlob(
  bucket: Bucket,
  key: string,
  range: ByteRange | undefined,
): Promise<Blob | undefined> {
  let opened: Opened;
  try {
    opened = await open(bucket, key, range);
  } catch (error) {
    if (isMissing(error)) return undefined;
    if (statusOf(error) === 416) throw new BlobError('BLOB_RANGE', key, { cause: error });
    throw unavailable(key, error);
  }
  const { stat, body } = opened;
  const { start, end } = range ?? { start: 0, end: stat.length - 1 };
  if (end >= stat.length) {
    body.destroy();
    throw new BlobError('BLOB_RANGE', key);
  }
  return { stat, body: bodyOf(bucket, key, opened, start, end) };
}

interface Opened {
  stat: BlobStat;
  body: Readable;
}

async function open(
  { sdk, client, ...bucket }: Bucket,
  key: string,
  range: ByteRange | undefined,
  etag?: string,
): Promise<Opened> {
  const answer = await client.send(
    new sdk.GetObjectCommand({
      ...object({ sdk, client, ...bucket }, key),
      ...(range === undefined ? {} : { Range: `bytes=${range.start}-${range.end}` }),
      ...(etag === undefined ? {} : { IfMatch: quoted(etag) }),
    }),
  );
  if (!(answer.Body instanceof Readable)) throw new UnfitAnswer('The answer has no body.');
  try {
    const length = range === undefined ? lengthOf(answer.ContentLength) : wholeLength(answer, range);
    return { stat: { length, etag: tagOf(answer.ETag) }, body: answer.Body };
  } catch (error) {
    answer.Body.destroy();
    throw error;
  }
}

/** Of the whole object, from an answer with a part of it. RFC 9110 §14.4 */
function wholeLength({ ContentRange }: GetObjectCommandOutput, { start }: ByteRange): number {
  const [, from, length] = /^bytes (\d+)-\d+\/(\d+)$/.exec(ContentRange ?? '') ?? [];
  if (Number(from) !== start) throw new UnfitAnswer('The store answered with another range.');
  return Number(length);
}

function lengthOf(length: number | undefined): number {
  if (length === undefined) throw new UnfitAnswer('The store gave no length.');
  return length;
}

/** Ends with an error unless every byte of the range has come. */
function bodyOf(bucket: Bucket, key: string, { stat, body }: Opened, start: number, end: number): Readable {
  const source = { body };
  const bytes = Readable.from(follow(bucket, key, stat.etag, source, { start, end }), { objectMode: false });
  // Also where nobody has begun to read it.
  bytes.once('close', () => source.body.destroy());
  return bytes;
}

async function* follow(
  bucket: Bucket,
  key: string,
  etag: string,
  source: { body: Readable },
  { start, end }: ByteRange,
): AsyncGenerator<Buffer> {
  let at = start;
  let failures = 0;
  let chunks = chunksOf(source.body, bucket.silenceMs);
  while (at <= end) {
    let next: IteratorResult<Buffer>;
    try {
      next = await chunks.next();
      if (next.done === true) throw new Error(`The body ended ${end + 1 - at} bytes early.`);
    } catch (cause) {
      failures += 1;
      if (failures > FAILURES) throw unavailable(key, cause);
      await sleep(PAUSE_MS * failures * (0.5 + Math.random()));
      source.body = await reopen(bucket, key, { start: at, end }, etag);
      chunks = chunksOf(source.body, bucket.silenceMs);
      continue;
    }
    failures = 0;
    at += next.value.length;
    yield next.value;
  }
}

async function reopen(bucket: Bucket, key: string, range: ByteRange, etag: string): Promise<Readable> {
  try {
    return (await open(bucket, key, range, etag)).body;
  } catch (cause) {
    // Another version is there now, or none.
    if (statusOf(cause) === 412 || isMissing(cause)) throw new BlobError('BLOB_CHANGED', key, { cause });
    throw unavailable(key, cause);
  }
}

/** Silence is counted only while somebody waits: a slow reader is no fault of the store's. */
async function* chunksOf(body: Readable, silenceMs: number): AsyncGenerator<Buffer> {
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  for (;;) {
    const timer = setTimeout(() => body.destroy(new Error('The store fell silent.')), silenceMs);
    let next: IteratorResult<Buffer>;
    try {
      next = await chunks.next();
    } finally {
      clearTimeout(timer);
    }
    if (next.done === true) return;
    yield next.value;
  }
}
