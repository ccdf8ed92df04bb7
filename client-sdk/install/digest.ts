/** The last look at an image's bytes before they may become bootable. */
import { createHash } from 'node:crypto';
import { Refusal } from '../protocol/index.ts';
import type { Files } from '../trust/index.ts';
import type { VerifiedImage } from './installer.ts';

/**
 * Reads the file to its end, after it is durable, and compares length and digest.
 * @throws Refusal `IMAGE_LENGTH` or `IMAGE_DIGEST`
 */
export async function checkFile(files: Files, file: string, image: VerifiedImage): Promise<void> {
  const handle = await files.open(file);
  try {
    await handle.sync();
    await checkBytes(handle.chunks(), image);
  } finally {
    await handle.close();
  }
}

/** @throws Refusal `IMAGE_LENGTH` or `IMAGE_DIGEST` */
export async function checkBytes(chunks: AsyncIterable<Uint8Array>, image: VerifiedImage): Promise<void> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    length += chunk.length;
  }
  if (length !== image.length) throw new Refusal('IMAGE_LENGTH', `${length} bytes of ${image.length}`);
  // A digest of public bytes is no secret: an ordinary comparison will do.
  const seen = hash.digest('hex');
  if (seen !== image.sha256) throw new Refusal('IMAGE_DIGEST', `${seen} in the place of ${image.sha256}`);
}
