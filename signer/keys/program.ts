/** Programs that sign for us: no shell, a time limit, and bounds on whatever they say. */
import { spawn, type ChildProcess } from 'node:child_process';
import { KeyError } from './errors.ts';

/** Longest answer, in bytes: a listing of some hundred keys. A public key and a signature are far shorter. */
const MAX_ANSWER = 256 * 1024;
const LAST_WORDS = 300;

/** What a program may take, in milliseconds, unless `TIDEGATE_KEY_TIMEOUT` says otherwise: long enough for a touch on a token. */
export const PROGRAM_TIMEOUT_MS = 60_000;

export type Environment = Record<string, string | undefined>;

export interface ProgramCall {
  program: string;
  args: readonly string[];
  /** Its standard input. Default: empty. */
  input?: Uint8Array;
  env: Environment;
  timeoutMs: number;
  /** Never shown, should the program say it. */
  secret?: string;
}

export interface ProgramAnswer {
  answer: Buffer;
  /** The end of its standard error, on one line. */
  lastWords: string;
  /** Exit code; null when a signal ended it. */
  exit: number | null;
}

/**
 * Runs a program to its end. It gets a process group of its own, so that its children end with it.
 * @throws KeyError `PROGRAM_MISSING`, `PROGRAM_TIMEOUT`, `PROGRAM_ANSWER` (too long).
 */
export function runProgram(call: ProgramCall): Promise<ProgramAnswer> {
  const { program, args, env, timeoutMs } = call;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    const answer: Buffer[] = [];
    let length = 0;
    let words = '';
    const giveUp = (error: KeyError) => {
      clearTimeout(timer);
      end(child);
      reject(error);
    };
    const timer = setTimeout(() => giveUp(new KeyError('PROGRAM_TIMEOUT', program)), timeoutMs);
    child.once('error', (cause) => giveUp(new KeyError('PROGRAM_MISSING', program, { cause })));
    child.stdout.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > MAX_ANSWER) giveUp(new KeyError('PROGRAM_ANSWER', `${program} does not stop talking`));
      else answer.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      words = (words + chunk.toString('utf8')).slice(-4 * LAST_WORDS);
    });
    child.once('close', (exit) => {
      clearTimeout(timer);
      resolve({ answer: Buffer.concat(answer), lastWords: oneLine(words, call.secret), exit });
    });
    // A program that needs no input may be gone before it is written.
    child.stdin.on('error', () => undefined);
    child.stdin.end(call.input ?? Buffer.alloc(0));
  });
}

/** What a program sees of our environment: all but our own secrets. */
export function environmentFor(env: Environment, more: Environment = {}): Environment {
  const kept = Object.entries(env).filter(([name]) => !name.startsWith('TIDEGATE_'));
  return { ...Object.fromEntries(kept), ...more };
}

/** @throws KeyError `KEY_REFERENCE` for a TIDEGATE_KEY_TIMEOUT that is no number of seconds up to an hour. */
export function programTimeout(env: Environment): number {
  const text = env['TIDEGATE_KEY_TIMEOUT'];
  if (text === undefined || text === '') return PROGRAM_TIMEOUT_MS;
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (seconds < 1 || seconds > 3600) throw new KeyError('KEY_REFERENCE', `TIDEGATE_KEY_TIMEOUT=${text}`);
  return seconds * 1000;
}

function end(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
  // Somebody who left the group may still hold the other ends.
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.stdin?.destroy();
}

function oneLine(words: string, secret: string | undefined): string {
  const safe = secret === undefined || secret === '' ? words : words.replaceAll(secret, '…');
  return safe.replace(/\s+/g, ' ').replace(/\p{C}/gu, '').trim().slice(-LAST_WORDS);
}
