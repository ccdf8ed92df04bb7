import { access, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { embeddedPlace } from '../db/index.ts';
import { destroyCommand } from './destroy-command.ts';
import { claimState } from './running.ts';
import { TestState } from './state.fixture.ts';

let state: TestState;
beforeEach(async () => {
  state = await TestState.init();
  env = {};
});
afterEach(() => state.remove());

/** Further variables of the environment. */
let env: Record<string, string> = {};

async function destroy(...args: string[]) {
  const ran = { exit: 0, out: [] as string[], err: [] as string[] };
  const command = destroyCommand({
    out: (line) => ran.out.push(line),
    err: (line) => ran.err.push(line),
    json: false,
    env: { TIDEGATE_HOME: state.home, ...env },
    cwd: state.root,
    tty: false,
    exit: (code) => (ran.exit = code),
  });
  await new Command('tidegate').addCommand(command).parseAsync(['destroy', ...args], { from: 'user' });
  return ran;
}
const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
const jsonOf = ({ out }: { out: string[] }) => JSON.parse(out[0] ?? '') as Record<string, unknown>;

test('lists everything and changes nothing without --yes; with it, state and database are gone wherever they lie', async () => {
  const service = state.spawn({});
  await service.ready;
  // Where root's PostgreSQL cannot reach the state directory its data lie elsewhere; otherwise inside it.
  const folder = join(state.home, 'service', 'postgres');
  const elsewhere = await embeddedPlace(folder);
  expect(jsonOf(await destroy('--yes', '--json'))).toMatchObject({ error: { code: 'ALREADY_RUNNING' } });
  service.kill('SIGTERM');
  await service.ended;
  const before = (await readdir(state.root, { recursive: true })).sort();
  const listed = jsonOf(await destroy('--json'));
  expect(listed).toMatchObject({ removed: false, home: state.home, keep: [], elsewhere: [] });
  const paths = (listed['remove'] as { path: string }[]).map(({ path }) => path);
  const made = ['service', 'keys', 'credentials', 'ceremony.json'].map((name) => join(state.home, name));
  expect(paths).toEqual(expect.arrayContaining(elsewhere === undefined ? made : [elsewhere, ...made]));
  expect((await readdir(state.root, { recursive: true })).sort()).toEqual(before);
  if (elsewhere !== undefined) expect(await isThere(elsewhere)).toBe(true);

  expect(jsonOf(await destroy('--yes', '--json'))).toEqual({ ...listed, removed: true });
  expect(await isThere(state.home)).toBe(false);
  if (elsewhere !== undefined) expect(await isThere(elsewhere)).toBe(false);
  expect(await destroy('--yes')).toMatchObject({
    exit: 1,
    err: [expect.stringContaining('STATE_MISSING') as string],
  });
});

test('what Tidegate did not make stays, and is said to', async () => {
  await writeFile(join(state.home, 'notes.txt'), 'mine');
  const { out, exit } = await destroy('--yes');
  expect(exit).toBe(0);
  expect(out.join('\n')).toContain('notes.txt');
  expect(await readdir(state.home)).toEqual(['notes.txt']);
});

test('a folder that is no state directory is left alone', async () => {
  const other = await mkdtemp(join(tmpdir(), 'tidegate-other-'));
  await mkdir(join(other, 'keys'));
  const { home } = state;
  Object.assign(state, { home: other });
  expect((await destroy('--yes')).exit).toBe(1);
  expect(await readdir(other)).toEqual(['keys']);
  Object.assign(state, { home });
  await rm(other, { recursive: true });
});

test('a service that holds the folder keeps it', async () => {
  const claim = await claimState(join(state.home, 'service'));
  expect(jsonOf(await destroy('--json'))).toMatchObject({ error: { code: 'ALREADY_RUNNING' } });
  await claim.release();
  expect(jsonOf(await destroy('--json'))).toMatchObject({ removed: false });
});

test('what lies in a bucket, a database or a Redis stays, and is said to, without passwords', async () => {
  expect(jsonOf(await destroy('--json'))['elsewhere']).toEqual([
    expect.stringContaining('TIDEGATE_STORE') as string,
  ]);
  env = {
    TIDEGATE_STORE: 's3://firmware/fleet/eu?endpoint=http://127.0.0.1:1&region=eu',
    DATABASE_URL: 'postgresql://tidegate:hunter2@127.0.0.1/tidegate',
    REDIS_URL: 'redis://:hunter2@127.0.0.1',
  };
  for (const args of [[], ['--yes']]) {
    const { out } = await destroy(...args);
    const said = out.filter((line) => line.includes('left alone')).join(' ');
    expect(said).toMatch(/s3:\/\/firmware\/fleet\/eu.*DATABASE_URL.*REDIS_URL/);
    expect(out.join(' ')).not.toContain('hunter2');
  }
});
