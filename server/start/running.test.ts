import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { claimState, holderOf } from './running.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate-running-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('one holds a state directory until it lets go, and tells where it listens', async () => {
  const claim = await claimState(folder);
  await claim.listensOn(8443);
  expect(await holderOf(folder)).toEqual({ pid: process.pid, port: 8443 });
  await expect(claimState(folder)).rejects.toMatchObject({ code: 'ALREADY_RUNNING' });
  await claim.release();
  expect(await holderOf(folder)).toBeUndefined();
  await (await claimState(folder)).release();
});

test('of several at the same moment one holds it', async () => {
  const all = await Promise.allSettled(Array.from({ length: 6 }, () => claimState(folder)));
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
});

test('nobody is held up by what a killed one left', async () => {
  const file = join(folder, 'running.json');
  await claimState(folder);
  const own = JSON.parse(await readFile(file, 'utf8')) as { born: string };
  const left = [
    '{"pid":',
    // The number of a live process, which was born at another time.
    JSON.stringify({ ...own, born: `${own.born}0` }),
    JSON.stringify({ pid: 2 ** 22 + 1, born: own.born, port: 1 }),
  ];
  for (const text of left) {
    await writeFile(file, text);
    expect(await holderOf(folder)).toBeUndefined();
    await (await claimState(folder)).release();
  }
});
