/** Where images and metadata are kept: the port. `test/contracts/blob-store.ts` says what every adapter must do. */
import type { Readable } from 'node:stream';

/**
 * What holds for every adapter, between all processes that use one store:
 * - A reader sees a whole version: the bytes before a put or after it, never a part and never a mixture.
 * - What a put, or a remove, has reported as done, every later `get` and `stat` sees, and it survives a crash.
 * - Of several puts of one free key without `replace`, exactly one is done; the others throw `BLOB_EXISTS`.
 * - Of several puts that replace one tag with different bytes, exactly one is done; the others throw `BLOB_CHANGED`. So a writer
 *   is fenced off by replacing what another has read, provided that it writes bytes that no other writes (see `BlobStat.etag`).
 * - A put that throws any code but `BLOB_UNAVAILABLE` has stored nothing, and what it was given is not kept anywhere.
 */
export interface BlobStore {
  /**
   * Stores a blob whole. Without `replace` the key must be free, so that what is published under a name never changes. Digest and
   * length are checked before anything is visible.
   *
   * After `BLOB_UNAVAILABLE` the bytes may have been stored or not: whoever puts them again learns it, from `BLOB_EXISTS` or
   * `BLOB_CHANGED` and what is there then.
   * @throws BlobError `BLOB_EXISTS`, `BLOB_CHANGED`, `BLOB_DIGEST`, `BLOB_LENGTH`, `BLOB_KEY`, `BLOB_UNAVAILABLE`, or whatever `body`
   *   threw; an error of the body stores nothing.
   */
  put(key: string, body: BlobBody, options?: PutOptions): Promise<BlobStat>;
  /**
   * Opens a blob for reading; undefined where there is none. The caller reads `body` to its end or destroys it. The body goes on
   * giving the version that it began with, also when that is replaced or removed meanwhile, or fails with `BLOB_CHANGED` when it
   * cannot; it never mixes two.
   * @throws BlobError `BLOB_RANGE`, `BLOB_KEY`, `BLOB_UNAVAILABLE`; the body may fail with the last one too.
   */
  get(key: string, range?: ByteRange): Promise<Blob | undefined>;
  /** @throws BlobError `BLOB_KEY`, `BLOB_UNAVAILABLE`. */
  stat(key: string): Promise<BlobStat | undefined>;
  /**
   * Nothing happens where there is none.
   * @throws BlobError `BLOB_KEY`, `BLOB_UNAVAILABLE`.
   */
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
  /** The version that this one takes the place of: the one with this tag, or whatever is there, be it nothing. */
  replace?: { etag: string } | 'any';
}

export interface BlobStat {
  /** Bytes. */
  length: number;
  /**
   * Opaque, at most 200 characters of printable ASCII without quotes. Two versions of a key with different bytes have different tags; two with the same
   * bytes may share one, because S3 makes tags from the bytes. So a tag names the bytes that are replaced, and who must be the
   * only one to win a replacement puts something of its own into them.
   */
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
 * - `BLOB_DIGEST`, `BLOB_LENGTH`: the bytes are not the expected ones, or more than the store can take.
 * - `BLOB_RANGE`: the range does not lie within the blob.
 * - `BLOB_UNAVAILABLE`: the store does not answer, or refuses for a reason of its own, which is the `cause`. Try again later.
 */
export type BlobErrorCode =
  | 'BLOB_KEY'
  | 'BLOB_EXISTS'
  | 'BLOB_CHANGED'
  | 'BLOB_DIGEST'
  | 'BLOB_LENGTH'
  | 'BLOB_RANGE'
  | 'BLOB_UNAVAILABLE';

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
