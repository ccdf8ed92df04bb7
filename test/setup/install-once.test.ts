/** Two first commands at one moment: npm runs once, and both find what it installed. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const SETUP = path.join(
  path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url)))),
  'scripts',
  'setup.mjs',
);
/** Stands for npm: takes its time, and writes when it began and ended. */
const NPM = `
import { appendFileSync, mkdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
appendFileSync('log', 'began\\n');
await setTimeout(500);
mkdirSync('node_modules', { recursive: true });
appendFileSync('log', 'ended\\n');
`;
let root: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'install-'));
  await writeFile(path.join(root, 'package-lock.json'), '{}');
  await writeFile(path.join(root, 'package.json'), '{"type": "module"}');
  await writeFile(path.join(root, 'npm.js'), NPM);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const install = (): Promise<number | null> =>
  new Promise((resolve, reject) => {
    const script = `import { installDependencies } from ${JSON.stringify(SETUP)}; installDependencies(process.argv[1]);`;
    const env = { ...process.env, npm_execpath: path.join(root, 'npm.js') };
    spawn(process.execPath, ['--input-type=module', '-e', script, root], { env, stdio: 'ignore' })
      .once('error', reject)
      .once('exit', resolve);
  });
const log = async () => (await readFile(path.join(root, 'log'), 'utf8')).trim().split('\n');

test('of four at one moment one installs, and nothing is left of the wait', async () => {
  expect(await Promise.all([install(), install(), install(), install()])).toEqual([0, 0, 0, 0]);
  expect(await log()).toEqual(['began', 'ended']);
  expect((await readdir(root)).filter((name) => name.startsWith('.installing'))).toEqual([]);
});

test('one that was killed in the middle keeps nobody out', async () => {
  const dead = spawn('true');
  await new Promise((resolve) => dead.once('exit', resolve));
  await writeFile(path.join(root, '.installing'), String(dead.pid));
  expect(await Promise.all([install(), install()])).toEqual([0, 0]);
  expect(await log()).toEqual(['began', 'ended']);
});
