/** A download whose power goes, or whose body ends early: what was fetched over a metered link is not fetched twice. */
import { createHash, randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { memoryFiles, PowerCut } from '../trust/testing/memory-files.ts';
import type { Loss, MemoryFiles } from '../trust/testing/memory-files.ts';
import { expectRejection } from '../trust/testing/refused.ts';
import { downloadImage } from './index.ts';
import { stopped } from './testing/mirror.ts';

const MIB = 1024 * 1024;
const CHUNK = 2 * MIB;
const FILE = 'slot-b';
const image = randomBytes(9 * MIB + 17);
const sha256 = createHash('sha256').update(image).digest('hex');

/** Where each request began. */
async function download(files: MemoryFiles, end = image.length): Promise<number[]> {
  const asked: number[] = [];
  await downloadImage({
    paths: ['image'],
    sha256,
    length: image.length,
    files,
    file: FILE,
    clock: stopped,
    minimumRate: 1,
    async fetch(_path, { range }) {
      const from = range?.from ?? 0;
      asked.push(from);
      const headers = { 'content-range': `bytes ${from}-${image.length - 1}/${image.length}` };
      return { status: range ? 206 : 200, headers: range ? headers : {}, body: chunks(from, end) };
    },
  });
  return asked;
}

async function* chunks(from: number, end: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < end; at += CHUNK) yield image.subarray(at, Math.min(at + CHUNK, end));
}

it('loses at most what no checkpoint vouches for, wherever the power is cut', async () => {
  for (let changes = 0; ; changes++) {
    const lost = await cutAfter(changes, 'lost');
    // Where everything was synced, there is nothing to tear.
    if (lost === 'unsynced') await cutAfter(changes, 'torn');
    if (lost === 'through') return expect(changes).toBeGreaterThan(8);
  }
});

async function cutAfter(changes: number, loss: Loss): Promise<'through' | 'synced' | 'unsynced'> {
  const files = memoryFiles();
  files.changesLeft = changes;
  const through = await download(files).catch((error: unknown) => {
    if (!(error instanceof PowerCut)) throw error;
  });
  const { unsynced } = files;
  const had = files.contents.get(FILE)?.length ?? 0;
  files.losePower(loss);
  const [from = image.length] = await download(files);
  // Four MiB between two checkpoints, and the chunk on its way.
  expect(from, `cut before change ${changes}`).toBeGreaterThanOrEqual(had - 4 * MIB - CHUNK);
  expect(files.contents.get(FILE)?.equals(image)).toBe(true);
  if (through) return 'through';
  return unsynced ? 'unsynced' : 'synced';
}

it('is on the medium when it is through', async () => {
  const files = memoryFiles();
  await download(files);
  files.losePower('lost');
  expect(files.contents.get(FILE)?.equals(image)).toBe(true);
});

it('goes on where a body ended early, whole as it looked', async () => {
  const files = memoryFiles();
  await expectRejection('DOWNLOAD_FAILED', download(files, MIB));
  files.losePower('lost');
  expect(await download(files)).toEqual([MIB]);
});
