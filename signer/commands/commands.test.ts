import { readdir, readFile, writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Desk, openDesk } from './desk.fixture.ts';
import { signerCommands } from './index.ts';

let desk: Desk;

beforeEach(async () => {
  desk = await openDesk();
});

afterEach(() => desk.close());

it('every command answers in JSON and shows examples', () => {
  const commands = signerCommands({
    out: () => {},
    err: () => {},
    json: false,
    env: {},
    cwd: '/',
    tty: false,
  });
  const leaves = (command: Command): Command[] =>
    command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
  const all = commands.flatMap(leaves);
  expect(all.map((command) => command.name())).toEqual([
    'init',
    'add',
    'sign',
    'reattest',
    'propose',
    'cosign',
    'finish',
    'drop',
    'attest',
    'amend',
    'deprecate',
    'yank',
    'renew',
    'list',
    'show',
    'show',
    'create',
    'service',
    'start',
    'sign',
    'status',
    'finish',
  ]);
  for (const command of all) {
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    expect(help).toContain('--json');
    expect(help).toContain('Examples:');
  }
});

it('no command takes the name of who acts', () => {
  const commands = signerCommands({
    out: () => {},
    err: () => {},
    json: false,
    env: {},
    cwd: '/',
    tty: false,
  });
  const flags = (command: Command): string[] => [
    ...command.options.map((option) => option.long ?? ''),
    ...command.commands.flatMap(flags),
  ];
  expect(commands.flatMap(flags)).not.toContain('--as');
});

it('a failed command says what to do, with its code, on standard error', async () => {
  const run = await desk.say('release', 'list');
  expect(run.exit).toBe(1);
  expect(run.out).toEqual([]);
  expect(run.err).toHaveLength(1);
  expect(run.err[0]).toMatch(/^error WORKING_COPY_MISSING: .*tidegate init/);
});

describe('sign', () => {
  const sign = (...more: string[]) =>
    desk.run(
      'sign',
      'fw.bin',
      '--product',
      'acme.dc150',
      '--version',
      '1.2.0',
      '--hardware',
      'dc150-r2',
      '--security-version',
      '3',
      ...more,
    );

  beforeEach(async () => {
    await desk.run('init');
    await writeFile(desk.path('fw.bin'), 'firmware');
  });

  it('writes a bundle where it is told to, with the key it is told to use', async () => {
    expect((await sign()).json).toMatchObject({ bundle: desk.path('fw.bin.sigstore.json'), length: 8 });
    desk.env['TIDEGATE_BUILD_KEY'] = '.tidegate/keys/erin/targets.key.json';
    expect((await sign('--out', 'out/b.json')).exit).toBe(0);
    const bundle = JSON.parse(await readFile(desk.path('out/b.json'), 'utf8')) as { mediaType: string };
    expect(bundle.mediaType).toBe('application/vnd.dev.sigstore.bundle.v0.3+json');
  });

  it.each([
    [['--product', 'ACME'], 'OPTION_INVALID', 2],
    [['--version', '1.2'], 'OPTION_INVALID', 2],
    [['--version', '1.2.0+build'], 'OPTION_INVALID', 2],
    [['--hardware', ''], 'OPTION_INVALID', 2],
    [['--hardware', 'a,a'], 'OPTION_INVALID', 2],
    [['--security-version', '-1'], 'OPTION_INVALID', 2],
    [['--security-version', '1e3'], 'OPTION_INVALID', 2],
    [['--security-version', '1000001'], 'OPTION_INVALID', 2],
    [['--key', 'none.json'], 'KEY_NOT_FOUND', 1],
    [['--key', 'fw.bin'], 'KEY_MALFORMED', 1],
  ])('refuses %j', async (args, code, exit) => {
    expect(await sign(...args)).toMatchObject({ code, exit });
    expect(await readdir(desk.folder)).toEqual(['.tidegate', 'fw.bin']);
  });

  it('refuses an image that is not there', async () => {
    const args = [
      '--product',
      'acme.dc150',
      '--version',
      '1.2.0',
      '--hardware',
      'x',
      '--security-version',
      '1',
    ];
    expect(await desk.run('sign', 'none.bin', ...args)).toMatchObject({ code: 'FILE_UNREADABLE', exit: 1 });
  });
});
