import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileBlobs, memoryBlobs } from '@tidegate/signer/repository';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openS3, parseLocation } from '@tidegate/server/blobs';
import { TestS3 } from '../support/s3/server.ts';
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

describe('on a bucket', () => {
  let s3: TestS3;
  let stores = 0;
  const closing: (() => void)[] = [];
  beforeAll(async () => {
    s3 = await TestS3.start();
    for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
  });
  afterAll(async () => {
    for (const close of closing) close();
    expect(s3.uploads).toBe(0);
    await s3.stop();
    vi.unstubAllEnvs();
  });

  blobStoreContract('S3', async () => {
    const location = parseLocation(s3.location(`store-${++stores}`));
    if ('problem' in location) throw new Error(location.problem);
    const { blobs, close } = await openS3(location, { partBytes: 5 * 1024 * 1024 });
    closing.push(close);
    return blobs;
  });
});

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

it('files: a disk that refuses is a store that is unavailable, and what a body throws stays its own', async () => {
  const folder = await newFolder();
  const unavailable = { code: 'BLOB_UNAVAILABLE', cause: { syscall: expect.any(String) as string } };
  await writeFile(join(folder, 'file'), '');
  await expect(fileBlobs(join(folder, 'file')).put('a', Buffer.from('x'))).rejects.toMatchObject(unavailable);
  const blobs = fileBlobs(folder);
  await symlink('loop', join(folder, 'loop'));
  await expect(blobs.put('loop/a', Buffer.from('x'))).rejects.toMatchObject(unavailable);
  await expect(blobs.get('loop')).rejects.toMatchObject(unavailable);
  await expect(blobs.stat('loop')).rejects.toMatchObject(unavailable);
  await expect(blobs.remove('loop')).rejects.toMatchObject(unavailable);
  await mkdir(join(folder, '.aside', 'lock'));
  await expect(blobs.put('a', Buffer.from('x'), { replace: 'any' })).rejects.toMatchObject({
    code: 'BLOB_UNAVAILABLE',
  });
  const broken = (async function* () {
    yield await readFile(join(folder, 'missing'));
  })();
  await expect(blobs.put('b', broken)).rejects.toMatchObject({ code: 'ENOENT' });
  expect(await readdir(join(folder, '.aside'))).toEqual(['lock']);
});

describe('files: between processes', () => {
  const WRITER = join(import.meta.dirname, '../support/blob-writer.ts');

  /** A process that replaces the blob again and again, each time with its own sign added to what it read; says what was done. */
  function writer(folder: string, sign: string, times: number) {
    const child = spawn(process.execPath, [WRITER, folder, sign, String(times)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
    const begun = once(child.stdout, 'data');
    const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, said }));
    return { child, begun, ended };
  }

  const count = (text: string, sign: string): number => text.split(sign).length - 1;

  it('no replacement is lost, whoever makes it', async () => {
    const folder = await newFolder();
    await fileBlobs(folder).put('log', Buffer.from(''));
    const signs = ['a', 'b', 'c'];
    const ends = await Promise.all(signs.map((sign) => writer(folder, sign, 60).ended));
    expect(ends.map(({ code }) => code)).toEqual([0, 0, 0]);
    const log = await readFile(join(folder, 'log'), 'utf8');
    expect(signs.map((sign) => count(log, sign))).toEqual([60, 60, 60]);
  });

  it('one that is killed loses nothing that it was told is done, and holds up nobody', async () => {
    const folder = await newFolder();
    await fileBlobs(folder).put('log', Buffer.from(''));
    const survivor = writer(folder, 's', 150);
    let told = '';
    for (const sign of ['a', 'b', 'c', 'd']) {
      const victim = writer(folder, sign, 1_000_000);
      await victim.begun;
      victim.child.kill('SIGKILL');
      const { signal, said } = await victim.ended;
      expect(signal).toBe('SIGKILL');
      told += said;
    }
    expect(await survivor.ended).toMatchObject({ code: 0 });
    const log = await readFile(join(folder, 'log'), 'utf8');
    expect(count(log, 's')).toBe(150);
    for (const sign of ['a', 'b', 'c', 'd']) {
      expect(count(told, sign)).toBeGreaterThan(0);
      // The last one may have been done and not told any more.
      expect(count(log, sign) - count(told, sign)).toBeOneOf([0, 1]);
    }
  });
});
