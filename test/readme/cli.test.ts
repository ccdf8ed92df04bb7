/** What every command promises: examples in its help, `--json`, and errors that a script can read. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../command-line.ts';
import { runTidegate, tidegate } from '../../tidegate.ts';
import { runTidegateCharger, tidegateCharger } from '../../tidegate-charger.ts';

/** Exit codes of design §7, as the README and the help list them. */
const FAILURES = [1, 2, 3];
const ERROR_CODE = /^[A-Z][A-Z0-9_]+$/;

let empty: string;
beforeAll(async () => {
  empty = await mkdtemp(join(tmpdir(), 'tidegate-cli-'));
});
afterAll(() => rm(empty, { recursive: true, force: true }));

const nowhere = {
  out: () => undefined,
  err: () => undefined,
  json: false,
  env: {},
  cwd: '/nonexistent',
  tty: false,
};
const programs = [
  { name: 'tidegate', make: () => tidegate(nowhere), run: runTidegate },
  { name: 'tidegate-charger', make: () => tidegateCharger(nowhere), run: runTidegateCharger },
];
const leaves = programs.flatMap(({ name, make, run }) =>
  leavesOf(make(), []).map(({ command, path }) => ({ line: [name, ...path].join(' '), path, command, run })),
);

it('finds the commands', () => expect(leaves.length).toBeGreaterThan(35));

describe.each(leaves)('$line', ({ line, path, command, run }) => {
  it('has examples that call it, --json, and its exit codes', async () => {
    const { exit, out } = await play(run, [...path, '--help']);
    expect(exit).toBe(0);
    expect(out).toMatch(/\n {2}--json /);
    const [, examples = ''] = out.split('\nExamples:\n');
    expect(examples).toContain(` ${path.join(' ')}`);
    expect(examples).toContain('\nExit codes: 0 ');
    expect(command.description()).not.toBe('');
  });

  it('has examples that are command lines of its own', async () => {
    const { out } = await play(run, [...path, '--help']);
    const examples = examplesIn(out);
    expect(examples.length).toBeGreaterThan(0);
    for (const [name = '', ...words] of examples) {
      const program = programs.find((each) => each.name === name)?.make();
      if (program === undefined) throw new Error(name);
      const ran: string[] = [];
      for (const leaf of leavesOf(program, [])) {
        leaf.command.action(() => void ran.push([name, ...leaf.path].join(' ')));
      }
      const err: string[] = [];
      await runProgram(program, words, { ...nowhere, err: (line) => err.push(line) });
      expect([ran, err]).toEqual([[line], []]);
    }
  });

  it('explains a wrong option in JSON', async () => {
    const { exit, out, err } = await play(run, [...path, '--json', '--no-such-option']);
    expect(exit).toBe(2);
    expect(JSON.parse(out)).toMatchObject({
      error: { code: 'USAGE', message: expect.any(String) as string },
    });
    expect(err).toBe('');
  });

  it('explains it to a person in one line, and says where the help is', async () => {
    const { exit, out, err } = await play(run, [...path, '--no-such-option']);
    expect([exit, out]).toEqual([2, '']);
    expect(err).toMatch(new RegExp(`^error USAGE: [^\\n]+ Run "[a-z-]+ ${path.join(' ')} --help" [^\\n]+$`));
  });
});

// `init` and `key service` need nothing and would make a state; the README plays them.
it.each(leaves.filter(({ path }) => path[0] !== 'init' && path.join(' ') !== 'key service'))(
  '$line explains in JSON why it cannot work here',
  async ({ path, command, run }) => {
    const { exit, out } = await play(run, [...path, ...needs(command), '--json']);
    expect(FAILURES).toContain(exit);
    const { error } = JSON.parse(out) as { error: { code: string; message: string } };
    expect(error.code).toMatch(ERROR_CODE);
    expect(error.code).not.toBe('USAGE');
    expect(error.message.length).toBeGreaterThan(10);
    expect(error.message).not.toMatch(/\n\s+at /);
  },
);

function leavesOf(command: Command, path: string[]): { command: Command; path: string[] }[] {
  if (command.commands.length === 0) return [{ command, path }];
  return command.commands.flatMap((each) => leavesOf(each, [...path, each.name()]));
}

/** The arguments and options without which the command line itself is wrong. */
function needs(command: Command): string[] {
  const values = command.registeredArguments.filter(({ required }) => required).map(() => 'acme.x');
  const options = command.options
    .filter(({ mandatory }) => mandatory)
    .flatMap(({ long }) => [long ?? '', '1']);
  return [...values, ...options];
}

/** The examples of a help text, as words: without variables before them and remarks in brackets after them. */
function examplesIn(help: string): string[][] {
  const [, examples = ''] = help.split('\nExamples:\n');
  const lines = examples.replaceAll(/\\\n\s*/g, '').split('\n');
  const typed = lines
    .filter((line) => line.startsWith('  $ '))
    .map((line) => line.slice(4).replace(/ {2,}\(.*/, ''));
  return typed.map((line) =>
    [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)]
      .map(([, double, single, bare]) => double ?? single ?? bare ?? '')
      .filter((word) => !/^[A-Z_]+=/.test(word)),
  );
}

async function play(
  run: typeof runTidegate,
  args: string[],
): Promise<{ exit: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const context = { ...nowhere, cwd: empty };
  const exit = await run(args, {
    ...context,
    out: (line) => out.push(line),
    err: (line) => err.push(line),
  });
  return { exit, out: out.join('\n'), err: err.join('\n') };
}
