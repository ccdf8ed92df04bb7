/**
 * What is known of a partial file, kept beside it. A byte on the disk counts only where a checkpoint vouches for it: a power cut or a
 * hand on the disk between two attempts is seen by hashing the prefix again, before the rest is fetched over a metered link.
 */
import { createHash, type Hash } from 'node:crypto';
import type { AppendFile, Files } from '../trust/files.ts';
import { SHA256 } from '../protocol/index.ts';
import { integer, object, oneOf, parseJson, text } from '../trust/shape.ts';

export interface Checkpoint {
  /** Of the image that is being fetched. */
  image: string;
  /** Bytes that are certainly on the medium. */
  size: number;
  /** SHA-256 of those bytes. */
  prefix: string;
  /** Validator of the representation that they are part of. RFC 9110 8.8.3 */
  etag?: string;
  /** Path that the last of them came from. */
  source?: string;
}

/** Strong validators only: a weak one must not be sent in If-Range. RFC 9110 13.1.5 */
export const STRONG_ETAG = /^"[\x21\x23-\x7e]{0,256}"$/;

const MAX_SOURCE = 1024;
const MAX_BYTES = 2048;

const readFields = object(
  {
    _type: oneOf('tidegate-download'),
    image: text(64, SHA256),
    size: integer(0),
    prefix: text(64, SHA256),
  },
  { etag: text(300, STRONG_ETAG), source: text(MAX_SOURCE) },
);

export function checkpointPath(file: string): string {
  return `${file}.part.json`;
}

export async function writeCheckpoint(files: Files, file: string, checkpoint: Checkpoint): Promise<void> {
  const { source, ...rest } = checkpoint;
  // One that is too long to be kept costs a validator, not the bytes.
  const kept = source !== undefined && source.length <= MAX_SOURCE ? { ...rest, source } : rest;
  const bytes = JSON.stringify({ _type: 'tidegate-download', ...kept });
  await files.write(checkpointPath(file), Buffer.from(bytes));
}

/**
 * Cuts the file to what can be trusted, and hashes it.
 * @returns the hash so far, and where and under which ETag the bytes were fetched.
 */
export async function restore(
  files: Files,
  file: string,
  handle: AppendFile,
  image: string,
): Promise<{ hash: Hash; kept: Pick<Checkpoint, 'etag' | 'source'> }> {
  const checkpoint = await readCheckpoint(files, file);
  if (checkpoint?.image === image && checkpoint.size <= handle.size) {
    await handle.truncate(checkpoint.size);
    const hash = createHash('sha256');
    for await (const chunk of handle.chunks()) hash.update(chunk);
    if (hash.copy().digest('hex') === checkpoint.prefix) return { hash, kept: checkpoint };
  }
  await handle.truncate(0);
  return { hash: createHash('sha256'), kept: {} };
}

async function readCheckpoint(files: Files, file: string): Promise<Checkpoint | undefined> {
  const bytes = await files.read(checkpointPath(file));
  if (bytes === undefined) return undefined;
  try {
    return readFields(parseJson(bytes, MAX_BYTES), '');
  } catch {
    return undefined;
  }
}
