import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { BlobError, type BlobStat, type BlobStore, checkKey, checkRange } from './blob-store.ts';

/** Blobs in memory, for tests and dry runs. */
export function memoryBlobs(): BlobStore {
  const blobs = new Map<string, { bytes: Buffer; etag: string }>();
  let puts = 0;

  const statOf = (key: string): BlobStat | undefined => {
    checkKey(key);
    const found = blobs.get(key);
    return found && { length: found.bytes.length, etag: found.etag };
  };

  return {
    async put(key, body, { expect, replace } = {}) {
      checkKey(key);
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of body instanceof Uint8Array ? [body] : body) {
        length += chunk.length;
        if (expect !== undefined && length > expect.length) throw new BlobError('BLOB_LENGTH', key);
        chunks.push(Buffer.from(chunk));
      }
      const bytes = Buffer.concat(chunks);
      if (expect !== undefined && length !== expect.length) throw new BlobError('BLOB_LENGTH', key);
      if (expect !== undefined && createHash('sha256').update(bytes).digest('hex') !== expect.sha256) {
        throw new BlobError('BLOB_DIGEST', key);
      }
      if (replace === undefined && blobs.has(key)) throw new BlobError('BLOB_EXISTS', key);
      if (replace !== undefined && replace !== 'any' && blobs.get(key)?.etag !== replace.etag) {
        throw new BlobError('BLOB_CHANGED', key);
      }
      const etag = `m${++puts}`;
      blobs.set(key, { bytes, etag });
      return { length, etag };
    },

    get(key, range) {
      return Promise.resolve().then(() => {
        const stat = statOf(key);
        const bytes = blobs.get(key)?.bytes;
        if (stat === undefined || bytes === undefined) return undefined;
        if (range !== undefined) checkRange(key, range, stat.length);
        const part = range === undefined ? bytes : bytes.subarray(range.start, range.end + 1);
        return { stat, body: Readable.from([part], { objectMode: false }) };
      });
    },

    stat: (key) => Promise.resolve().then(() => statOf(key)),

    remove: (key) =>
      Promise.resolve().then(() => {
        checkKey(key);
        blobs.delete(key);
      }),
  };
}
