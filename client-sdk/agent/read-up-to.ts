/** Reading what strangers send, and no more than was asked for. */

/** The first `max` bytes; the rest is not read. */
export async function readUpTo(body: AsyncIterable<Uint8Array>, max: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk.subarray(0, max - size));
    size += chunk.length;
    if (size >= max) break;
  }
  return Buffer.concat(chunks);
}
