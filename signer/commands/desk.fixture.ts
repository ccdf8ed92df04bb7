/** A desk in a folder of its own, for tests: commands run as a person types them. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
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
  /** The same at a terminal, where somebody types these lines, each when it is asked for, and then closes it. */
  answer(lines: string[], ...args: string[]): Promise<Run>;
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
    answer: (lines, ...args) => type(desk, args, lines),
    readJson: async <T>(...parts: string[]) =>
      JSON.parse(await readFile(join(folder, ...parts), 'utf8')) as T,
    now: Date.parse('2026-11-22T12:00:00Z'),
    env: {},
    close: () => rm(folder, { recursive: true, force: true }),
  };
  return desk;
}

async function type(desk: Desk, args: string[], answers?: string[]): Promise<Run> {
  const run: Run = { exit: 0, out: [], err: [], json: {}, code: undefined };
  const commands = signerCommands({
    out: (line) => run.out.push(line),
    err: (line) => run.err.push(line),
    json: false,
    env: desk.env,
    cwd: desk.folder,
    tty: answers !== undefined,
    ...(answers === undefined ? {} : { prompt: typist(answers) }),
    exit: (code) => (run.exit = code),
    clock: { now: () => desk.now, sleep: () => Promise.resolve() },
    scryptCost: FAST_SCRYPT,
  });
  const program = new Command('tidegate');
  for (const command of commands) program.addCommand(command);
  await program.parseAsync(args, { from: 'user' });
  if (args.includes('--json')) run.json = JSON.parse(run.out.join('\n')) as Record<string, unknown>;
  run.code =
    (run.json['error'] as { code: string } | undefined)?.code ??
    /^error ([A-Z_]+): /.exec(run.err.find((line) => line.startsWith('error ')) ?? '')?.[1];
  return run;
}

function typist(answers: readonly string[]): { input: PassThrough; output: Writable } {
  const input = new PassThrough();
  const left = answers.values();
  const output = new Writable({
    write(asked: Buffer, _encoding, done) {
      if (/[:\]] $/.test(asked.toString())) {
        const { value, done: closes = false } = left.next();
        setImmediate(() => (closes ? input.end() : input.write(`${value}\n`)));
      }
      done();
    },
  });
  return { input, output };
}
