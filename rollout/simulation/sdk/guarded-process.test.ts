import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { spawnGuarded } from './guarded-process.ts';
import { raucMissing } from './rauc-testbed.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tg-guard-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('a program runs until it is asked to stop', async () => {
  const program = spawnGuarded('sh', ['-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done', folder]);
  while ((await naming(folder)).length < 2) await delay(20);
  expect(program.runs).toBe(true);
  await program.stop();
  expect(program.runs).toBe(false);
  expect(await naming(folder)).toEqual([]);
});

test('a program that cannot be started has ended', async () => {
  const program = spawnGuarded(path.join(folder, 'nothing'), []);
  await program.stop();
  expect(program.runs).toBe(false);
});

test('a program ends with a process that is killed with −9', async () => {
  const words = JSON.stringify(['-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done', folder]);
  await killOnceItSays(
    `import { spawnGuarded } from '${import.meta.dirname}/guarded-process.ts';
     spawnGuarded('sh', ${words});`,
  );
  await nobodyNames(folder);
});

const missing = raucMissing();

test.skipIf(missing !== undefined)(
  `RAUC's service and its D-Bus end with a process that is killed with −9${missing ? ` (skipped: ${missing})` : ''}`,
  async () => {
    await killOnceItSays(
      `import { startRaucTestbed } from '${import.meta.dirname}/rauc-testbed.ts';
       await startRaucTestbed('${folder}', { slotBytes: 1024 * 1024 });`,
    );
    await nobodyNames(folder);
  },
);

/** Runs a script until what it starts is there, and kills it. */
async function killOnceItSays(script: string): Promise<void> {
  const holder = spawn(
    process.execPath,
    [
      '--input-type=module-typescript',
      '-e',
      `${script}\nprocess.stdout.write('there'); setInterval(() => {}, 1e6);`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(holder.stdout, 'data');
  while ((await naming(folder)).length === 0) await delay(20);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
}

async function nobodyNames(word: string): Promise<void> {
  while ((await naming(word)).length > 0) await delay(50);
}

/** Processes whose command line holds a word, other than the scripts of this test. */
async function naming(word: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.includes(word) && !line.includes('module-typescript')) found.push(`${pid} ${line}`);
  }
  return found;
}
