/** Fetches one image: resumable, bounded, digest-checked, never slower than a minimum rate, in memory of O(chunk). Design §1. */
import { Refusal, type Clock } from '../protocol/index.ts';
import type { Files } from '../trust/files.ts';
import { checkpointPath } from './checkpoint.ts';
import { PartialImage } from './partial-image.ts';
import { atMinimumRate, untilAborted } from './rate.ts';
import { etagOf, meaningOf, type DownloadResponse } from './response.ts';

export type { DownloadResponse } from './response.ts';
export { atMinimumRate, untilAborted } from './rate.ts';

/** Slowest rate of anything that is fetched, in bytes per second: below it, a stalled connection is given up. */
export const MINIMUM_RATE = 1024;

/**
 * GET of a path. `range.from` becomes `Range: bytes=<from>-` and `range.ifRange` becomes `If-Range`; without a range neither is sent.
 * The body should end when `signal` aborts.
 */
export type DownloadFetch = (
  path: string,
  options: { range: { from: number; ifRange?: string } | undefined; signal: AbortSignal },
) => Promise<DownloadResponse>;

export interface DownloadOptions {
  /** Tried in turn. */
  paths: readonly string[];
  sha256: string;
  /** Bytes. */
  length: number;
  files: Files;
  /** Where the image goes, in `files`. A checkpoint, `<file>.part.json`, lies beside it; `discardDownload` removes both. */
  file: string;
  fetch: DownloadFetch;
  /** The wall's clock: bytes arrive in its time. */
  clock: Clock;
  /** Bytes per second, averaged over each `rateWindow`. */
  minimumRate: number;
  /** Milliseconds; 30 000 unless told. */
  rateWindow?: number;
  signal?: AbortSignal;
  progress?: (done: number, total: number) => void;
}

/**
 * Resolves when `file` holds exactly the signed bytes and they are on the medium. After a refusal with DOWNLOAD_FAILED or
 * DOWNLOAD_TOO_SLOW the caller tries again later, and it goes on where it stopped. An image that is there already is hashed, not fetched.
 * @throws Refusal DOWNLOAD_FAILED, DOWNLOAD_TOO_SLOW, IMAGE_LENGTH, IMAGE_DIGEST: the last path's; the reason of `signal`.
 */
export async function downloadImage(options: DownloadOptions): Promise<void> {
  let last: unknown = new Refusal('DOWNLOAD_FAILED', 'no path to fetch from');
  for (const path of options.paths) {
    try {
      await fetchFrom(path, options);
      return;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      last = error;
    }
  }
  throw last;
}

/** Removes an image, whole or partial, that is not wanted any more. */
export async function discardDownload(files: Files, file: string): Promise<void> {
  await files.remove(checkpointPath(file));
  await files.remove(file);
}

async function fetchFrom(path: string, options: DownloadOptions): Promise<void> {
  const handle = await options.files.open(options.file);
  try {
    const image = await PartialImage.resume(handle, options);
    const begunBefore = handle.size > 0;
    try {
      await complete(path, image, options);
    } catch (error) {
      const wrong = error instanceof Refusal && error.code === 'IMAGE_DIGEST';
      if (!wrong || !begunBefore) throw error;
      // The beginning may be another source's fault: this one gets its chance with an empty file.
      await complete(path, image, options);
    }
  } finally {
    await handle.close();
  }
}

async function complete(path: string, image: PartialImage, options: DownloadOptions): Promise<void> {
  if (image.size < options.length) await receive(path, image, options);
  await image.finish();
}

async function receive(path: string, image: PartialImage, options: DownloadOptions): Promise<void> {
  const { clock, minimumRate, rateWindow = 30_000, signal } = options;
  try {
    await atMinimumRate({ clock, minimumRate, window: rateWindow }, signal, async (signal, count) => {
      const response = await ask(path, image, options, signal);
      for await (const chunk of bodyOf(response, signal)) {
        count(chunk.length);
        await image.append(chunk);
      }
    });
  } catch (error) {
    await image.settle(error);
    throw error;
  }
}

async function ask(path: string, image: PartialImage, options: DownloadOptions, signal: AbortSignal) {
  image.comesFrom(path);
  const response = await breakable(options.fetch(path, { range: image.range, signal }), signal);
  const etag = etagOf(response);
  // The service's file ends before ours, or is another one: nothing here can be gone on from.
  const another =
    response.status === 206 && etag !== undefined && image.etag !== undefined && etag !== image.etag;
  if (response.status === 416 || another) await image.restart();
  if (another) throw new Refusal('DOWNLOAD_FAILED', 'a range of another file');
  if (meaningOf(response, image.size, options.length) === 'restart') await image.restart();
  image.etag = etag;
  return response;
}

async function* bodyOf({ body }: DownloadResponse, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await breakable(chunks.next(), signal);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not waited for: a body that hangs would hang here as well.
    void Promise.resolve(chunks.return?.()).catch(() => undefined);
  }
}

/** A connection that breaks is no news to the caller: it tries again. */
async function breakable<T>(step: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await untilAborted(step, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Refusal) throw error;
    throw new Refusal('DOWNLOAD_FAILED', 'the connection broke', { cause: error });
  }
}
