/** The writes. What must hold of them is in the port, `signer/repository/blob-store.ts`. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { BlobError, type BlobStat, type PutOptions } from '@tidegate/signer/repository';
import {
  type Bucket,
  isMissing,
  nameOf,
  object,
  quoted,
  statusOf,
  tagOf,
  unavailable,
  UnfitAnswer,
} from './bucket.ts';
import { headersOf } from './headers.ts';

type Replace = PutOptions['replace'];

/** With every object lies who put it, so that a writer whose answer was lost knows its own work. */
const MARK = 'tidegate-put';
/** Tries after "conflicting operation": S3 has decided nothing then. docs.aws.amazon.com, PutObject, If-None-Match */
const CONFLICTS = 5;
const CONFLICT_PAUSE_MS = 50;

/** In one request. */
export async function putWhole(
  bucket: Bucket,
  key: string,
  bytes: Uint8Array,
  replace: Replace,
): Promise<BlobStat> {
  const mark = newMark();
  const { PutObjectCommand } = bucket.sdk;
  for (let attempt = 1; ; attempt++) {
    try {
      const { ETag } = await bucket.client.send(
        new PutObjectCommand({
          ...object(bucket, key),
          ...headersOf(key),
          ...conditionOf(replace),
          Body: bytes,
          ContentLength: bytes.length,
          Metadata: { [MARK]: mark },
        }),
      );
      return { length: bytes.length, etag: tagOf(ETag) };
    } catch (error) {
      const done = await ownWrite(bucket, key, mark);
      if (done !== undefined) return done;
      if (statusOf(error) !== 409 || attempt === CONFLICTS) throw refusal(error, key, replace);
      await sleep(CONFLICT_PAUSE_MS * attempt * (0.5 + Math.random()));
    }
  }
}

/**
 * In parts, of which nobody sees any before the last request. Each part's memory is given back when the part after the next is asked for.
 * @param parts all but the last of at least 5 MiB; what it throws ends the upload.
 */
export async function putParts(
  bucket: Bucket,
  key: string,
  parts: AsyncIterable<Uint8Array>,
  replace: Replace,
): Promise<BlobStat> {
  const mark = newMark();
  const upload = await begin(bucket, key, mark);
  try {
    const { sent, length } = await sendParts(upload, parts);
    return { length, etag: await complete(upload, sent, mark, replace) };
  } catch (error) {
    await abort(upload);
    throw error;
  }
}

interface Upload {
  bucket: Bucket;
  key: string;
  /** Which, in every request. */
  of: { Bucket: string; Key: string; UploadId: string };
}

interface Sent {
  PartNumber: number;
  ETag: string | undefined;
}

async function begin(bucket: Bucket, key: string, mark: string): Promise<Upload> {
  const { CreateMultipartUploadCommand } = bucket.sdk;
  const of = object(bucket, key);
  try {
    const { UploadId } = await bucket.client.send(
      new CreateMultipartUploadCommand({ ...of, ...headersOf(key), Metadata: { [MARK]: mark } }),
    );
    if (UploadId === undefined) throw new UnfitAnswer('The store gave no UploadId.');
    return { bucket, key, of: { ...of, UploadId } };
  } catch (error) {
    throw unavailable(key, error);
  }
}

/** One part is on its way while the next is read: two of them are in memory, and never more. */
async function sendParts(
  { bucket, key, of }: Upload,
  parts: AsyncIterable<Uint8Array>,
): Promise<{ sent: Sent[]; length: number }> {
  const { UploadPartCommand } = bucket.sdk;
  const sent: Sent[] = [];
  let length = 0;
  let sending = Promise.resolve();
  const send = async (part: Uint8Array, PartNumber: number): Promise<void> => {
    const command = new UploadPartCommand({ ...of, PartNumber, Body: part, ContentLength: part.length });
    const { ETag } = await bucket.client.send(command).catch((error: unknown) => {
      throw unavailable(key, error);
    });
    sent.push({ PartNumber, ETag });
  };
  let number = 0;
  try {
    for await (const part of parts) {
      await sending;
      number += 1;
      length += part.length;
      sending = send(part, number);
      // Awaited above or below; a failure meanwhile is not lost, and must not end the process.
      sending.catch(() => undefined);
    }
  } catch (error) {
    // Its memory is the caller's again afterwards.
    await sending.catch(() => undefined);
    throw error;
  }
  await sending;
  return { sent, length };
}

async function complete(
  { bucket, key, of }: Upload,
  sent: Sent[],
  mark: string,
  replace: Replace,
): Promise<string> {
  const { CompleteMultipartUploadCommand } = bucket.sdk;
  try {
    const { ETag } = await bucket.client.send(
      new CompleteMultipartUploadCommand({
        ...of,
        ...conditionOf(replace),
        MultipartUpload: { Parts: sent },
      }),
    );
    return tagOf(ETag);
  } catch (error) {
    const done = await ownWrite(bucket, key, mark);
    if (done !== undefined) return done.etag;
    throw refusal(error, key, replace);
  }
}

/** Whatever is left where this fails is for the bucket's own rule against unfinished uploads: see the README. */
async function abort({ bucket, of }: Upload): Promise<void> {
  const { AbortMultipartUploadCommand } = bucket.sdk;
  await bucket.client.send(new AbortMultipartUploadCommand(of)).catch(() => undefined);
}

function conditionOf(replace: Replace): { IfNoneMatch: '*' } | { IfMatch: string } | Record<string, never> {
  if (replace === undefined) return { IfNoneMatch: '*' };
  return replace === 'any' ? {} : { IfMatch: quoted(replace.etag) };
}

function newMark(): string {
  return randomBytes(16).toString('hex');
}

/**
 * What is there, if it is what this put has written: a request whose answer got lost is sent once more, and then finds its own work in its way.
 * @throws BlobError `BLOB_UNAVAILABLE` when that cannot be learnt either.
 */
async function ownWrite(bucket: Bucket, key: string, mark: string): Promise<BlobStat | undefined> {
  const { HeadObjectCommand } = bucket.sdk;
  try {
    const head = await bucket.client.send(new HeadObjectCommand(object(bucket, key)));
    if (head.Metadata?.[MARK] !== mark) return undefined;
    return { length: head.ContentLength ?? 0, etag: tagOf(head.ETag) };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw unavailable(key, error);
  }
}

/**
 * - 412: the condition does not hold.
 * - 404: what was to be replaced is gone; some stores say 412.
 * - 409 to a multipart upload: somebody else wrote or removed meanwhile. Its parts cannot be sent again by this call, so the caller looks and tries again.
 */
function refusal(error: unknown, key: string, replace: Replace): BlobError {
  const status = statusOf(error);
  const replaces = replace !== undefined && replace !== 'any';
  if (status === 412) return new BlobError(replaces ? 'BLOB_CHANGED' : 'BLOB_EXISTS', key, { cause: error });
  const gone = isMissing(error) && nameOf(error) !== 'NoSuchUpload';
  if (replaces && (gone || status === 409)) return new BlobError('BLOB_CHANGED', key, { cause: error });
  return unavailable(key, error);
}
