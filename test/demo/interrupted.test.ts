/** However the demo is ended, it leaves nothing running; and a person who ends it does not wait for long. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { raucMissing } from '@tidegate/rollout/simulation/sdk';
import {
  nothingRuns,
  placesOf,
  pressCtrlC,
  processesOf,
  ROOT,
  runDemo,
  start,
  type Started,
} from './run-demo.ts';

const PATIENCE_MS = 5 * 60_000;
/** The promise is 10 s, here with room for a busy machine; a demo that plays on takes longer. */
const PROMPT_MS = 30_000;

let folder: string;
let args: string[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tidegate demo '));
  args = ['--json', '--port', '0', '--seed', '11', '--folder', folder];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const demo = (onLine: (line: string) => void): Started => runDemo(args, onLine);
const shortPlay = (onLine: (line: string) => void): Started =>
  start([path.join(ROOT, 'test', 'demo', 'short-play.ts'), ...args], onLine);

describe('Ctrl-C', () => {
  test.each([
    { when: 'its stage is set', run: demo, line: 'Image:' },
    { when: 'its service starts', run: demo, line: 'Ceremony:' },
    { when: 'its fleet starts', run: demo, line: 'Service:' },
    { when: 'its good release goes out', run: demo, line: 'canary: open' },
    { when: 'the attacks are tried', run: shortPlay, line: '1 of 5 tried' },
  ])('ends the demo while $when', { timeout: PATIENCE_MS }, async ({ run, line }) => {
    const places = new Set<string>();
    const running = run((said) => {
      if (!said.includes(line)) return;
      void placesOf(folder).then((found) => {
        for (const place of found) places.add(place);
        pressCtrlC(running);
        setTimeout(() => void killAll([...places]), PROMPT_MS).unref();
      });
    });
    const { code, stderr, stdout } = await running.ended;
    expect(stderr).toContain('Interrupted.');
    expect(stderr).not.toContain('The service died');
    expect(code).toBe(130);
    expect(stdout).toBe('');
    expect(await processesOf([...places])).toEqual([]);
    expect([...places].filter((place) => existsSync(place))).toEqual([]);
  });
});

test('a signal to the command alone reaches the demo', { timeout: PATIENCE_MS }, async () => {
  const running = demo((said) => {
    if (said.includes('Ceremony:')) running.child.kill('SIGTERM');
  });
  expect((await running.ended).code).toBe(143);
  await nothingRuns([folder]);
});

const missing = raucMissing();

test(
  `service, database and fleet${missing === undefined ? ', RAUC and its D-Bus' : ''} end with a demo that is killed with −9`,
  { timeout: PATIENCE_MS },
  async () => {
    let places: string[] = [];
    const running = demo((said) => {
      if (!said.startsWith('Fleet:')) return;
      void placesOf(folder).then(async (found) => {
        places = found;
        const everybody = await processesOf(found);
        const { pid } = everybody.find(({ line }) => line.includes('demo/main.ts')) ?? {};
        if (pid !== undefined) process.kill(pid, 'SIGKILL');
      });
    });
    const { code } = await running.ended;
    expect(code).toBe(137);
    expect(places).not.toEqual([]);
    await nothingRuns(places);
    for (const place of places) await rm(place, { recursive: true, force: true });
  },
);

/** For a demo that plays on: its test then fails, and leaves nothing to the next. */
async function killAll(places: readonly string[]): Promise<void> {
  for (const { pid } of await processesOf(places)) process.kill(pid, 'SIGKILL');
}
