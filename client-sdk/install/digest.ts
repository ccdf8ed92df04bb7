/** The last look at an image's bytes before they may become bootable. */
import { createHash } from 'node:crypto';
import { Refusal } from '../protocol/index.ts';
import type { Files } from '../trust/index.ts';
import type { VerifiedImage } from './installer.ts';

/**
 * Reads the file to its end, after it is durable, and compares length and digest.
 * @throws Refusal `IMAGE_LENGTH` or `IMAGE_DIGEST`
 */
export async function checkImage(files: Files, file: string, image: VerifiedImage): Promise<void> {
  const handle = await files.open(file);
  try {
    await handle.sync();
    if (handle.size !== image.length) {
      throw new Refusal('IMAGE_LENGTH', `${file} holds ${handle.size} bytes of ${image.length}`);
    }
    const hash = createHash('sha256');
    for await (const chunk of handle.chunks()) hash.update(chunk);
    // A digest of public bytes is no secret: an ordinary comparison will do.
    const seen = hash.digest('hex');
    if (seen !== image.sha256) {
      throw new Refusal('IMAGE_DIGEST', `${file} holds ${seen}, wanted ${image.sha256}`);
    }
  } finally {
    await handle.close();
  }
}
