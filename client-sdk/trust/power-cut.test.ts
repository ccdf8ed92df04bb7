/** `diskFiles` at a power cut after any of its calls to the operating system. Invariant 4 of design §8 rests on this. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { diskFiles } from './disk-files.ts';
import type { Files } from './files.ts';
import { afterPowerCut, calls } from './testing/recorded-disk.ts';
import type { Medium } from './testing/recorded-disk.ts';

vi.mock('node:fs/promises', async (original) =>
  (await import('./testing/recorded-disk.ts')).recorded(await original()),
);

const ASIDE = '.new~';
let root: string;
let files: Files;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tidegate cuts '));
  files = diskFiles(join(root, 'state'));
  calls.length = 0;
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** What is in the state folder, but for writes in progress, after a cut at each of the calls from number `from` on. */
function leftAfterEach(medium: Medium, from = 0): Record<string, string>[] {
  return calls.slice(from - 1).map((_call, i) => left(medium, from + i));
}

function left(medium: Medium, count = calls.length): Record<string, string> {
  const there = [...afterPowerCut(root, calls.slice(0, count), medium)];
  const whole = there.filter(([path]) => !path.endsWith(ASIDE));
  return Object.fromEntries(whole.map(([path, bytes]) => [path.replace('state/', ''), bytes]));
}

describe.each<Medium>(['lazy', 'names first'])('on a medium that is %s', (medium) => {
  it('a file that was written is there, with all its folders', async () => {
    await files.write('a/b/c', Buffer.from('one'));
    expect(left(medium)).toEqual({ 'a/b/c': 'one' });
    for (const there of leftAfterEach(medium)) expect([{}, { 'a/b/c': 'one' }]).toContainEqual(there);
  });

  it('a file that is written again holds the old bytes or the new, never half', async () => {
    await files.write('a', Buffer.from('old'));
    const from = calls.length;
    await files.write('a', Buffer.from('new'));
    for (const there of leftAfterEach(medium, from)) expect(['old', 'new']).toContain(there['a']);
    expect(left(medium)).toEqual({ a: 'new' });
  });

  it('a file that was removed stays away', async () => {
    await files.write('a', Buffer.from('x'));
    await files.remove('a');
    expect(left(medium)).toEqual({});
  });

  it('a file that was renamed has its new name, in a new folder too, and is never lost', async () => {
    await files.write('a', Buffer.from('x'));
    const from = calls.length;
    await files.rename('a', 'b/c');
    for (const there of leftAfterEach(medium, from)) expect(Object.values(there)).toContain('x');
    expect(left(medium)).toEqual({ 'b/c': 'x' });
  });

  it('what was appended is there once it was synced, and the file from the moment it was opened', async () => {
    const file = await files.open('images/a.part');
    expect(left(medium)).toEqual({ 'images/a.part': '' });
    await file.append(Buffer.from('one'));
    await file.sync();
    await file.append(Buffer.from('two'));
    expect(left(medium)).toEqual({ 'images/a.part': 'one' });
    await file.truncate(2);
    await file.sync();
    await file.close();
    expect(left(medium)).toEqual({ 'images/a.part': 'on' });
  });
});
