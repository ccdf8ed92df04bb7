import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileBlobs, memoryBlobs } from '@tidegate/signer/repository';
import { afterAll, expect, it } from 'vitest';
import { blobStoreContract } from './blob-store.ts';

const folders: string[] = [];

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate blobs '));
  folders.push(folder);
  return folder;
}

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

blobStoreContract('files', async () => fileBlobs(join(await newFolder(), 'store')));
blobStoreContract('memory', () => Promise.resolve(memoryBlobs()));

it('files: a put that fails leaves nothing aside', async () => {
  const folder = await newFolder();
  const expected = { sha256: '0'.repeat(64), length: 1 };
  await expect(fileBlobs(folder).put('a/b', Buffer.from('x'), { expect: expected })).rejects.toMatchObject({
    code: 'BLOB_DIGEST',
  });
  expect(await readdir(folder, { recursive: true })).toEqual(['.aside']);
});

it('files: what a killed process left aside goes after a day, and not before', async () => {
  const folder = await newFolder();
  await mkdir(join(folder, '.aside'));
  for (const name of ['old', 'new']) await writeFile(join(folder, '.aside', name), 'half');
  await utimes(join(folder, '.aside', 'old'), 1, 1);
  await fileBlobs(folder).put('a', Buffer.from('x'));
  expect(await readdir(join(folder, '.aside'))).toEqual(['new']);
});
