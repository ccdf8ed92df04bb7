/** Where images and metadata are kept: the port. `test/contracts/blob-store.ts` says what every adapter must do. */
import type { Readable } from 'node:stream';

export interface BlobStore {
  /**
   * Stores a blob whole: a reader sees the old bytes or the new, never a part.
   * Without `replace` the key must be free, so that what is published under a name never changes.
   * @throws BlobError `BLOB_EXISTS`, `BLOB_CHANGED`, `BLOB_DIGEST`, `BLOB_LENGTH`, `BLOB_KEY`; then nothing was stored.
   */
  put(key: string, body: BlobBody, options?: PutOptions): Promise<BlobStat>;
  /**
   * Opens a blob for reading; undefined where there is none. The caller reads `body` to its end or destroys it.
   * @throws BlobError `BLOB_RANGE`, `BLOB_KEY`.
   */
  get(key: string, range?: ByteRange): Promise<Blob | undefined>;
  stat(key: string): Promise<BlobStat | undefined>;
  /** Nothing happens where there is none. */
  remove(key: string): Promise<void>;
}

/**
 * Bytes, or a stream of them; a stream is never held in memory as a whole. A chunk is the store's until it asks for the next one, which
 * may come in the same memory.
 */
export type BlobBody = Uint8Array | AsyncIterable<Uint8Array>;

export interface PutOptions {
  /** The put fails unless the bytes are these. */
  expect?: { sha256: string; length: number };
  /** The version that this one takes the place of: the one with this tag, or whatever is there. */
  replace?: { etag: string } | 'any';
}

export interface BlobStat {
  /** Bytes. */
  length: number;
  /** Changes with every put. Opaque. */
  etag: string;
}

export interface Blob {
  /** Of the whole blob, whatever the range. */
  stat: BlobStat;
  body: Readable;
}

/** First and last byte, both included, as in HTTP. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * - `BLOB_KEY`: the key is not `part/part/part` of letters, digits, `.`, `_`, `+` and `-`, or a part begins with a dot.
 * - `BLOB_EXISTS`: something is there already.
 * - `BLOB_CHANGED`: somebody else has written since; read again, then try again.
 * - `BLOB_DIGEST`, `BLOB_LENGTH`: the bytes are not the expected ones.
 * - `BLOB_RANGE`: the range does not lie within the blob.
 */
export type BlobErrorCode =
  'BLOB_KEY' | 'BLOB_EXISTS' | 'BLOB_CHANGED' | 'BLOB_DIGEST' | 'BLOB_LENGTH' | 'BLOB_RANGE';

export class BlobError extends Error {
  override readonly name = 'BlobError';
  readonly code: BlobErrorCode;

  constructor(code: BlobErrorCode, key: string, options?: { cause?: unknown }) {
    super(`${code}: ${key}`, options);
    this.code = code;
  }
}

const KEY_PART = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,254}$/;
const MAX_KEY_PARTS = 8;

/**
 * Keeps a key from leaving its folder: no empty part, no part that begins with a dot, nothing but a closed alphabet.
 * @throws BlobError `BLOB_KEY`.
 */
export function checkKey(key: string): void {
  const parts = key.split('/');
  if (parts.length > MAX_KEY_PARTS || !parts.every((part) => KEY_PART.test(part))) {
    throw new BlobError('BLOB_KEY', JSON.stringify(key.slice(0, 100)));
  }
}

/** @throws BlobError `BLOB_RANGE`. */
export function checkRange(key: string, range: ByteRange, length: number): void {
  const whole = Number.isInteger(range.start) && Number.isInteger(range.end);
  if (!whole || range.start < 0 || range.start > range.end || range.end >= length) {
    throw new BlobError('BLOB_RANGE', key);
  }
}
