/** The service as a process of its own, which is started again when it dies: a rollout must not notice. */
import { type ChildProcess, fork } from 'node:child_process';
import { createWriteStream, writeFileSync, type WriteStream } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const RESTART_MS = 300;
const STOP_MS = 8000;
const LOOK_MS = 100;

export interface ServiceOptions {
  /** Folder of the checkout, where `tidegate.ts` is. */
  root: string;
  env: NodeJS.ProcessEnv;
  logFile: string;
  /** Holds the process id of the service that runs. */
  pidFile: string;
  url: string;
  /** An interrupted demo starts nothing again. */
  signal: AbortSignal;
  /** It died, and is being started again. */
  onRestart: (count: number) => void;
}

export class Service {
  readonly #options: ServiceOptions;
  readonly #log: WriteStream;
  #child: ChildProcess | undefined;
  #stopping = false;
  #restarts = 0;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#log = createWriteStream(options.logFile, { flags: 'a' });
  }

  get restarts(): number {
    return this.#restarts;
  }

  start(): void {
    // A channel, so that the service ends when the demo does, however it does.
    const child = fork(path.join(this.#options.root, 'tidegate.ts'), ['start'], {
      cwd: path.dirname(this.#options.logFile),
      env: this.#options.env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A session of its own: Ctrl-C is for the demo, which ends the service when its turn comes.
      detached: true,
    });
    child.stdout?.pipe(this.#log, { end: false });
    child.stderr?.pipe(this.#log, { end: false });
    child.once('exit', () => {
      if (this.#unwanted) return;
      this.#restarts += 1;
      this.#options.onRestart(this.#restarts);
      setTimeout(() => {
        if (!this.#unwanted) this.start();
      }, RESTART_MS);
    });
    // For whoever wants to see what a kill does.
    writeFileSync(this.#options.pidFile, String(child.pid));
    this.#child = child;
  }

  get #unwanted(): boolean {
    return this.#stopping || this.#options.signal.aborted;
  }

  /** Resolves once `/readyz` answers 200; rejects after `timeoutMs`, and when interrupted. */
  async ready(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (Date.now() < deadline) {
      if ((await probe(`${this.#options.url}/readyz`)) === 200) return;
      await delay(LOOK_MS, undefined, { signal: this.#options.signal });
    }
    throw new Error(
      `The service was not ready within ${timeoutMs / 1000} s. Its log: ${this.#options.logFile}`,
    );
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await gone;
      clearTimeout(impatience);
    }
    this.#log.end();
  }
}

/** Status of a GET on loopback. Only readiness is asked, so the certificate is not looked at. */
function probe(url: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = https.get(url, { rejectUnauthorized: false, agent: false, timeout: 2000 }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', () => resolve(undefined));
    request.on('timeout', () => request.destroy());
  });
}
