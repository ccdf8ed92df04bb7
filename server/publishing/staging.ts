/** Uploads that no publication has taken yet: one file each, named by its SHA-256. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { SHA256 } from '@tidegate/client-sdk/protocol';
import { BlobError, targetKey } from '@tidegate/signer/repository';
import { ApiError } from '../http/index.ts';
import type { PublishingDeps, UploadLimits } from './types.ts';

const GIB = 1024 ** 3;
const DEFAULTS: UploadLimits = { upload: 4 * GIB, staging: 16 * GIB, age: 24 * 60 * 60 * 1000 };

type StagingDeps = Pick<PublishingDeps, 'staging' | 'limits'>;

export interface Upload {
  sha256: string;
  /** Bytes. */
  length: number;
}

export interface UploadBody {
  body: Readable;
  /** Told of each chunk that has been written and is not needed any more. */
  written?: (chunk: Buffer) => void;
}

/**
 * Streams one blob to staging and hashes it on the way; it appears under its digest only when every byte was right.
 *
 * @throws ApiError `BODY_TOO_LARGE`, `STAGING_FULL`, `BODY_TRUNCATED`, `UPLOAD_MISMATCH`; nothing is kept then.
 */
export async function receiveUpload(deps: StagingDeps, upload: Upload & UploadBody): Promise<Upload> {
  await admit(deps, upload.length);
  const part = join(deps.staging, `${upload.sha256}.${randomBytes(8).toString('hex')}.part`);
  try {
    const received = await writeHashed(part, upload);
    if (received.length < upload.length) {
      throw new ApiError('BODY_TRUNCATED', `${received.length} of ${upload.length} bytes arrived.`);
    }
    if (received.sha256 !== upload.sha256) {
      throw new ApiError('UPLOAD_MISMATCH', `The bytes have SHA-256 ${received.sha256}.`);
    }
    await rename(part, stagedPath(deps, upload.sha256));
    return received;
  } finally {
    await rm(part, { force: true });
  }
}

/** Refuses before a byte is read, and makes room by removing what has waited too long. */
async function admit(deps: StagingDeps, length: number): Promise<void> {
  const limits = { ...DEFAULTS, ...deps.limits };
  if (length > limits.upload) {
    throw new ApiError('BODY_TOO_LARGE', `${length} bytes; the limit is ${limits.upload}.`);
  }
  await mkdir(deps.staging, { recursive: true });
  const waiting = await sweepStaging(deps);
  if (waiting + length > limits.staging) {
    throw new ApiError('STAGING_FULL', `${waiting} bytes wait already.`);
  }
}

/** One chunk in memory at a time: the next is taken when this one is on its way to the disk. */
async function writeHashed(
  path: string,
  { body, length: limit, written }: Upload & UploadBody,
): Promise<Upload> {
  const hash = createHash('sha256');
  let length = 0;
  const file = await open(path, 'wx', 0o600);
  const write = async (chunk: Buffer): Promise<void> => {
    length += chunk.length;
    if (length > limit) throw new ApiError('BODY_TOO_LARGE', 'More bytes than announced arrived.');
    hash.update(chunk);
    await file.writeFile(chunk);
    written?.(chunk);
  };
  try {
    // Not `for await`, which joins what has arrived into new buffers: garbage twice over.
    await pipeline(body, sinkOf(write));
    await file.sync();
  } catch (error) {
    if (error instanceof ApiError || !isDisconnect(error)) throw error;
    throw new ApiError('BODY_TRUNCATED', `The connection ended after ${length} bytes.`, { cause: error });
  } finally {
    await file.close();
  }
  return { sha256: hash.digest('hex'), length };
}

function sinkOf(write: (chunk: Buffer) => Promise<void>): Writable {
  return new Writable({
    highWaterMark: 1,
    write: (chunk: Buffer, _encoding, done) => void write(chunk).then(() => done(), done),
  });
}

/** `http` ends the body of a request whose client went away with this. */
function isDisconnect(error: unknown): boolean {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'EPIPE';
}

/** @returns the length of a staged blob, or undefined. */
export async function stagedLength(deps: StagingDeps, sha256: string): Promise<number | undefined> {
  try {
    return (await stat(stagedPath(deps, sha256))).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Bytes read at once. */
const CHUNK = 256 * 1024;

/** Reads a staged blob, one chunk at a time and each into the same memory: see `BlobBody`. */
export async function* readStaged(deps: StagingDeps, sha256: string): AsyncGenerator<Buffer> {
  const file = await open(stagedPath(deps, sha256), 'r');
  const buffer = Buffer.allocUnsafe(CHUNK);
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

export async function dropStaged(deps: StagingDeps, digests: Iterable<string>): Promise<void> {
  for (const sha256 of digests) await rm(stagedPath(deps, sha256), { force: true });
}

/**
 * Removes uploads that were abandoned. Their age is the file system's, so the wall's clock judges it.
 *
 * @returns the bytes that wait still.
 */
export async function sweepStaging(deps: StagingDeps): Promise<number> {
  const { age } = { ...DEFAULTS, ...deps.limits };
  let waiting = 0;
  // Before the first upload there is no folder.
  for (const name of await readdir(deps.staging).catch(ifMissing)) {
    const path = join(deps.staging, name);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) continue;
    if (Date.now() - found.mtimeMs > age) await rm(path, { force: true });
    else waiting += found.size;
  }
  return waiting;
}

function ifMissing(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}

function stagedPath(deps: StagingDeps, sha256: string): string {
  // The digest becomes a file name: nothing else may.
  if (!SHA256.test(sha256)) throw new ApiError('UPLOAD_MISMATCH', 'The address is no SHA-256.');
  return join(deps.staging, sha256);
}

/**
 * @param path TUF path under which it would be published.
 * @returns the length of a file that waits in staging or is published, or undefined.
 */
export async function findUpload(
  deps: StagingDeps & Pick<PublishingDeps, 'blobs'>,
  sha256: string,
  path: string | undefined,
): Promise<number | undefined> {
  const staged = await stagedLength(deps, sha256);
  if (staged !== undefined || path === undefined) return staged;
  try {
    return (await deps.blobs.stat(targetKey(path, sha256)))?.length;
  } catch (error) {
    // A path that cannot be a key names nothing.
    if (error instanceof BlobError && error.code === 'BLOB_KEY') return undefined;
    throw error;
  }
}
