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
}

/** Strong validators only: a weak one must not be sent in If-Range. RFC 9110 13.1.5 */
export const STRONG_ETAG = /^"[\x21\x23-\x7e]{0,256}"$/;

const readFields = object(
  {
    _type: oneOf('tidegate-download'),
    image: text(64, SHA256),
    size: integer(0),
    prefix: text(64, SHA256),
  },
  { etag: text(300, STRONG_ETAG) },
);

export function checkpointPath(file: string): string {
  return `${file}.part.json`;
}

export async function writeCheckpoint(files: Files, file: string, checkpoint: Checkpoint): Promise<void> {
  const bytes = JSON.stringify({ _type: 'tidegate-download', ...checkpoint });
  await files.write(checkpointPath(file), Buffer.from(bytes));
}

/**
 * Cuts the file to what can be trusted, and hashes it.
 * @returns the hash so far, and the ETag that the bytes were fetched under.
 */
export async function restore(
  files: Files,
  file: string,
  handle: AppendFile,
  image: string,
): Promise<{ hash: Hash; etag: string | undefined }> {
  const checkpoint = await readCheckpoint(files, file);
  if (checkpoint?.image === image && checkpoint.size <= handle.size) {
    await handle.truncate(checkpoint.size);
    const hash = createHash('sha256');
    for await (const chunk of handle.chunks()) hash.update(chunk);
    if (hash.copy().digest('hex') === checkpoint.prefix) return { hash, etag: checkpoint.etag };
  }
  await handle.truncate(0);
  return { hash: createHash('sha256'), etag: undefined };
}

async function readCheckpoint(files: Files, file: string): Promise<Checkpoint | undefined> {
  const bytes = await files.read(checkpointPath(file));
  if (bytes === undefined) return undefined;
  try {
    const { image, size, prefix, etag } = readFields(parseJson(bytes, 1024), '');
    return etag === undefined ? { image, size, prefix } : { image, size, prefix, etag };
  } catch {
    return undefined;
  }
}
