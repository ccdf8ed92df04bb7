/** Terminals as a reader has them: one to type in, others in which something keeps running. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface Played {
  code: number | null;
  output: string;
}

/** One `bash`, block by block: folder and variables stay from one block to the next. */
export class Terminal {
  readonly #memory: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #start: string;

  /** @param memory folder for what stays between blocks */
  constructor(memory: string, start: string, env: NodeJS.ProcessEnv) {
    this.#memory = join(memory, 'memory.sh');
    this.#start = start;
    this.#env = env;
  }

  async open(): Promise<void> {
    await writeFile(this.#memory, '');
  }

  async play(block: string): Promise<Played> {
    const script = `set -aeo pipefail
. "$TERMINAL_MEMORY"
${block}
{ export -p; printf 'cd %q\\n' "$PWD"; } > "$TERMINAL_MEMORY"`;
    const child = spawn('bash', ['-c', script], {
      cwd: this.#start,
      env: { ...this.#env, TERMINAL_MEMORY: this.#memory },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = gather(child);
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, output: output() };
  }
}

/** A terminal of its own, in which a block runs until it is stopped. */
export class Running {
  readonly #child: ChildProcess;
  readonly output: () => string;

  constructor(block: string, start: string, env: NodeJS.ProcessEnv) {
    this.#child = spawn('bash', ['-c', `set -eo pipefail\n${block}`], {
      cwd: start,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, so that its end reaches whatever the block started.
      detached: true,
    });
    this.output = gather(this.#child);
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Waits until `done` says so of the output, or the block ends. */
  async until(done: (output: string) => boolean): Promise<void> {
    while (!done(this.output()) && !this.ended) await delay(100);
  }

  /** What Ctrl-C does. */
  async stop(): Promise<void> {
    const { pid } = this.#child;
    if (this.ended || pid === undefined) return;
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    process.kill(-pid, 'SIGINT');
    await closed;
  }
}

function gather(child: ChildProcess): () => string {
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return () => text;
}
