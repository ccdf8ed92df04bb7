/** Reading what strangers send: no more than was asked for, and no slower than a minimum rate. */
import type { Clock } from '../protocol/index.ts';
import { atMinimumRate, MINIMUM_RATE, untilAborted } from '../download/index.ts';
import { systemClock } from './clock.ts';

const WINDOW = 30_000;

/**
 * The first `max` bytes; the rest is not read.
 * @param clock bytes arrive in the wall's time.
 * @throws Refusal DOWNLOAD_TOO_SLOW; whatever `body` throws.
 */
export async function readUpTo(
  body: AsyncIterable<Uint8Array>,
  max: number,
  clock: Clock = systemClock,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  await readChunks(body, clock, (chunk) => {
    chunks.push(chunk.subarray(0, max - size));
    size += chunk.length;
    return size < max;
  });
  return Buffer.concat(chunks);
}

/** @param take says whether it wants more. @throws as `readUpTo` */
export function readChunks(
  body: AsyncIterable<Uint8Array>,
  clock: Clock,
  take: (chunk: Uint8Array) => boolean,
): Promise<void> {
  const rate = { clock, minimumRate: MINIMUM_RATE, window: WINDOW };
  return atMinimumRate(rate, undefined, async (signal, count) => {
    const source = body[Symbol.asyncIterator]();
    for (;;) {
      const next = await untilAborted(source.next(), signal).catch((error: unknown) => {
        void source.return?.();
        throw error;
      });
      if (next.done === true) return;
      count(next.value.length);
      if (take(next.value)) continue;
      await source.return?.();
      return;
    }
  });
}
