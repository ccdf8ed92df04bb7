/**
 * Plays the README as its reader would: every `sh` block in order in one terminal, those marked `terminal=…` in terminals of their own,
 * against a real service and real chargers. The `text` block after it says what is to be seen.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removeEmbeddedPostgres } from '@tidegate/server/db';
import { blocksOf, missing, stepsOf } from './blocks.ts';
import { Running, Terminal } from './terminals.ts';

/** A busy machine may take its time; nothing here is about speed. */
const PATIENCE_MS = 8 * 60_000;

const root = join(import.meta.dirname, '..', '..');
const readme = await readFile(join(root, 'README.md'), 'utf8');
const blocks = blocksOf(readme);
const steps = stepsOf(blocks);

describe('what the README shows', () => {
  it('names scripts that exist', async () => {
    const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const named = [...readme.matchAll(/npm (?:run )?(demo|test|attacks|fuzz)\b/g)].map(
      ([, name = '']) => name,
    );
    expect(new Set(named)).toEqual(new Set(['demo', 'test', 'attacks', 'fuzz']));
    for (const name of named) expect(scripts).toHaveProperty(name);
  });

  it('links to files that exist', () => {
    const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, target = '']) => target);
    const files = links.filter((target) => !/^(https:|#)/.test(target));
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });

  it('quotes the example that is run', async () => {
    const example = await readFile(join(root, 'docs/examples/charger-firmware.ts'), 'utf8');
    const quotes = blocks.filter(({ language }) => language === 'ts');
    expect(quotes).toHaveLength(1);
    for (const { text } of quotes) expect(example).toContain(text);
  });

  it('leaves no block of commands unplayed', () => {
    const shells = blocks.filter(({ language }) => ['sh', 'bash', 'console', ''].includes(language));
    const typed = shells.filter(({ text }) => /^\s*(tidegate|npm)/m.test(text) && !/───/.test(text));
    const unplayed = typed.filter(({ line }) => !steps.some((step) => step.line === line));
    expect(unplayed.map(({ text }) => text)).toEqual(['npm run demo\nnpm test']);
  });
});

describe('the README by hand', () => {
  let home: string;
  let env: NodeJS.ProcessEnv;
  let terminal: Terminal;
  let failed = false;
  const running: Running[] = [];

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'tidegate readme '));
    env = { ...newcomer(), HOME: home, TIDEGATE_PORT: String(await freePort()) };
    terminal = new Terminal(home, root, env);
    await terminal.open();
  });

  afterAll(async () => {
    // The service last: chargers that stop still say something.
    for (const each of running.toReversed()) await each.stop();
    for (const state of ['tidegate-tour', 'tidegate-founders/ann']) {
      await removeEmbeddedPostgres(join(home, state, '.tidegate', 'service', 'postgres'));
    }
    await rm(home, { recursive: true, force: true });
  }, PATIENCE_MS);

  it.each(steps.map((step) => ({ ...step, title: `${step.heading} (line ${step.line})` })))(
    '$title',
    async ({ text, info, expected }) => {
      if (failed) throw new Error('An earlier block did not do what the README says.');
      failed = true;
      if (info['terminal'] === undefined) {
        const { code, output } = await terminal.play(text);
        expect(code, output).toBe(0);
        expect(missing(output, expected), output).toEqual([]);
      } else {
        const started = new Running(text, root, env);
        running.push(started);
        await started.until((output) => missing(output, expected).length === 0);
        expect(missing(started.output(), expected), started.output()).toEqual([]);
      }
      failed = false;
    },
    PATIENCE_MS,
  );

  it('leaves every terminal running until the end', () => {
    expect(running.length).toBeGreaterThan(3);
    for (const each of running) expect(each.ended, each.output()).toBe(false);
  });
});

/** What somebody has who has just logged in: nothing of this run. */
function newcomer(): NodeJS.ProcessEnv {
  const { PATH, USER, LANG } = process.env;
  return { PATH, USER, LANG };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
