import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { payload, rawImage } from './image.ts';

const going = new AbortController().signal;
let cache: string;

beforeEach(async () => {
  cache = await mkdtemp(path.join(tmpdir(), 'tg-image-'));
  // A machine without apt.
  vi.stubEnv('PATH', cache);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(cache, { recursive: true, force: true });
});

test('without apt the image is the beginning of the Node that runs', async () => {
  const { file, what } = await payload(cache, going);
  const bytes = await readFile(file);
  expect(bytes).toHaveLength(4 * 1024 * 1024);
  const node = await open(process.execPath);
  const { buffer } = await node.read(Buffer.alloc(bytes.length), 0, bytes.length, 0);
  await node.close();
  expect(bytes.equals(buffer)).toBe(true);
  expect(what).toContain(process.version);
});

test('it is made once, and leaves nothing beside it', async () => {
  const first = await payload(cache, going);
  expect(await payload(cache, going)).toEqual(first);
  expect(await readdir(cache)).toEqual([path.basename(first.file)]);
});

test('each version has bytes of its own', async () => {
  const { file } = await payload(cache, going);
  const images = await Promise.all(
    ['1.0.0', '1.1.0'].map(async (version) => {
      const into = path.join(cache, version);
      await rawImage(file, version, into);
      return readFile(into);
    }),
  );
  expect(images[0]?.equals(images[1] ?? Buffer.alloc(0))).toBe(false);
  expect(images[0]?.subarray(0, 4 * 1024 * 1024).equals(await readFile(file))).toBe(true);
});

test('an interruption is no missing apt', async () => {
  await expect(payload(cache, AbortSignal.abort())).rejects.toThrow('aborted');
  expect(await readdir(cache)).toEqual([]);
});
