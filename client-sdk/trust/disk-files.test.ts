import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { diskFiles } from './disk-files.ts';
import type { Files } from './files.ts';

let folder: string;
let files: Files;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate files '));
  files = diskFiles(join(folder, 'state'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('reads what it wrote, in folders that it makes', async () => {
  expect(await files.read('a/b/c.json')).toBeUndefined();
  await files.write('a/b/c.json', Buffer.from('one'));
  await files.write('a/b/c.json', Buffer.from('two'));
  expect((await files.read('a/b/c.json'))?.toString()).toBe('two');
  expect(await files.list('a/b')).toEqual(['c.json']);
  expect(await files.list('nowhere')).toEqual([]);
});

it('takes a file above the limit for none, so that a strange disk cannot fill the memory', async () => {
  await files.write('a', Buffer.alloc(11));
  expect(await files.read('a', 10)).toBeUndefined();
  expect((await files.read('a', 11))?.length).toBe(11);
});

it('goes on after a write that was cut off, and leaves nothing of it behind', async () => {
  await files.write('a', Buffer.from('old'));
  await writeFile(`${files.path('a')}.new~`, 'half a wri');
  expect((await files.read('a'))?.toString()).toBe('old');
  await files.write('a', Buffer.from('new'));
  expect((await files.read('a'))?.toString()).toBe('new');
  expect(await readdir(join(folder, 'state'))).toEqual(['a']);
});

it('removes and renames, and forgives a file that is not there', async () => {
  await files.remove('nothing');
  await files.write('a', Buffer.from('x'));
  await files.rename('a', 'b/c');
  expect(await files.read('a')).toBeUndefined();
  await files.remove('b/c');
  expect(await files.read('b/c')).toBeUndefined();
});

it.each(['../a', 'a/../../b', '/etc/passwd', '', 'a//b', '.hidden', 'a\u0000b', 'a\\b'])(
  'refuses the path %j',
  async (path) => {
    await expect(async () => files.read(path)).rejects.toThrow(TypeError);
    expect(() => files.path(path)).toThrow(TypeError);
  },
);

it('takes a folder in the place of a file for none', async () => {
  await files.write('a/b', Buffer.from('x'));
  expect(await files.read('a')).toBeUndefined();
});

it('appends, streams back, and cuts', async () => {
  const file = await files.open('images/a.part');
  const chunk = Buffer.alloc(100_000, 7);
  await file.append(chunk);
  await file.append(Buffer.from('end'));
  await file.sync();
  expect(file.size).toBe(100_003);
  const read: Uint8Array[] = [];
  for await (const part of file.chunks()) read.push(part);
  expect(Buffer.concat(read).equals(Buffer.concat([chunk, Buffer.from('end')]))).toBe(true);
  await file.truncate(10);
  await file.append(Buffer.from('!'));
  await file.close();
  const again = await files.open('images/a.part');
  expect(again.size).toBe(11);
  await expect(again.truncate(12)).rejects.toThrow(RangeError);
  await again.close();
});

it('lists files only', async () => {
  await files.write('f/a', Buffer.from('x'));
  await symlink('/', join(folder, 'state', 'f', 'link'));
  expect(await files.list('f')).toEqual(['a']);
});
