/** A desk in a folder of its own, for tests: commands run as a person types them. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import type { ScryptCost } from '../keys/index.ts';
import { signerCommands } from './index.ts';

/** Opens in a millisecond. For tests alone. */
export const FAST_SCRYPT: ScryptCost = { N: 16, r: 1, p: 1 };

export interface Run {
  exit: number;
  out: string[];
  err: string[];
  /** The `--json` answer. */
  json: Record<string, unknown>;
  /** Code of the error, where there was one. */
  code: string | undefined;
}

export interface Desk {
  folder: string;
  path(...parts: string[]): string;
  /** Runs `tidegate …args --json`. */
  run(...args: string[]): Promise<Run>;
  /** Runs `tidegate …args` as a person sees it. */
  say(...args: string[]): Promise<Run>;
  readJson<T>(...parts: string[]): Promise<T>;
  /** Milliseconds since the epoch; the desk's clock stands still until it is set. */
  now: number;
  env: Record<string, string>;
  close(): Promise<void>;
}

export async function openDesk(): Promise<Desk> {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate desk '));
  const desk: Desk = {
    folder,
    path: (...parts) => join(folder, ...parts),
    run: (...args) => type(desk, [...args, '--json']),
    say: (...args) => type(desk, args),
    readJson: async <T>(...parts: string[]) =>
      JSON.parse(await readFile(join(folder, ...parts), 'utf8')) as T,
    now: Date.parse('2026-11-22T12:00:00Z'),
    env: {},
    close: () => rm(folder, { recursive: true, force: true }),
  };
  return desk;
}

async function type(desk: Desk, args: string[]): Promise<Run> {
  const run: Run = { exit: 0, out: [], err: [], json: {}, code: undefined };
  const commands = signerCommands({
    out: (line) => run.out.push(line),
    err: (line) => run.err.push(line),
    json: false,
    env: desk.env,
    cwd: desk.folder,
    tty: false,
    exit: (code) => (run.exit = code),
    clock: { now: () => desk.now, sleep: () => Promise.resolve() },
    scryptCost: FAST_SCRYPT,
  });
  const program = new Command('tidegate');
  for (const command of commands) program.addCommand(command);
  await program.parseAsync(args, { from: 'user' });
  if (args.includes('--json')) run.json = JSON.parse(run.out.join('\n')) as Record<string, unknown>;
  run.code = (run.json['error'] as { code: string } | undefined)?.code;
  return run;
}
