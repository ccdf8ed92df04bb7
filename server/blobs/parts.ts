/** A body on its way to the store: checked against what is expected of it, and cut into parts. */
import { createHash } from 'node:crypto';
import { type BlobBody, BlobError, type PutOptions } from '@tidegate/signer/repository';

/** Passes the bytes on, and ends with an error when they were not the expected ones. */
export async function* checked(
  key: string,
  body: BlobBody,
  expect: PutOptions['expect'],
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    length += chunk.length;
    // Before it goes on: an endless body stops here.
    if (expect !== undefined && length > expect.length) throw new BlobError('BLOB_LENGTH', key);
    if (expect !== undefined) hash.update(chunk);
    yield chunk;
  }
  if (expect === undefined) return;
  if (length !== expect.length) throw new BlobError('BLOB_LENGTH', key);
  if (hash.digest('hex') !== expect.sha256) throw new BlobError('BLOB_DIGEST', key);
}

/**
 * Joins chunks to parts of `size` bytes; the last one may be shorter, and an empty body is one empty part. Two buffers take turns, so a part is the
 * caller's until it asks for the one after the next. Chunks are copied, because the next may come in the same memory.
 * @param limit a body of more parts is refused, `BLOB_LENGTH`.
 */
export async function* inParts(
  key: string,
  chunks: AsyncIterable<Uint8Array>,
  { size, limit, first }: { size: number; limit: number; first: number },
): AsyncGenerator<Buffer> {
  const buffers = [Buffer.allocUnsafe(Math.min(size, first)), undefined];
  let parts = 0;
  let filled = 0;
  let buffer = buffers[0]!;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      if (filled === size) {
        parts += 1;
        if (parts === limit) throw new BlobError('BLOB_LENGTH', key);
        yield buffer;
        buffer = buffers[parts % 2] ??= Buffer.allocUnsafe(size);
        filled = 0;
      }
      const taken = Math.min(size - filled, chunk.length - at);
      buffer.set(chunk.subarray(at, at + taken), filled);
      filled += taken;
      at += taken;
    }
  }
  yield buffer.subarray(0, filled);
}
