/** A state directory as `tidegate init` leaves it, and a service on it in a process of its own, for tests. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { signerCommands } from '@tidegate/signer/commands';
import { postgresAccount } from '../db/embedded/account.ts';
import { settle } from '../db/embedded/place.ts';
import { removeEmbeddedPostgres } from '../db/index.ts';

const HOLDER = join(import.meta.dirname, '../../test/support/service-holder.ts');

export interface Ended {
  exit: number | null;
  /** Lines of standard output, parsed. */
  said: Record<string, unknown>[];
}

export class TestState {
  readonly root: string;
  readonly home: string;

  private constructor(root: string) {
    this.root = root;
    this.home = join(root, '.tidegate');
  }

  static async init(): Promise<TestState> {
    const state = new TestState(await mkdtemp(join(tmpdir(), 'tidegate start ')));
    const errors: string[] = [];
    const commands = signerCommands({
      out: () => undefined,
      err: (line) => errors.push(line),
      json: false,
      env: { TIDEGATE_HOME: state.home },
      cwd: state.root,
      tty: false,
      scryptCost: { N: 2 ** 10, r: 8, p: 1 },
    });
    await commands.find((command) => command.name() === 'init')?.parseAsync([], { from: 'user' });
    if (errors.length > 0) throw new Error(errors.join('\n'));
    return state;
  }

  /** `tidegate start --json` in a process of its own. */
  spawn(env: Record<string, string>): {
    kill: (signal: NodeJS.Signals) => void;
    ready: Promise<unknown>;
    ended: Promise<Ended>;
  } {
    const { PATH = '' } = process.env;
    const base = { PATH, TIDEGATE_HOME: this.home, TIDEGATE_PORT: '0', TIDEGATE_LOG: join(this.root, 'log') };
    const child = spawn(process.execPath, [HOLDER], {
      env: { ...base, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    const ended = once(child, 'close').then(([exit]): Ended => {
      const lines = text.split('\n').filter((line) => line !== '');
      const said = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
      return { exit: exit as number | null, said };
    });
    const ready = once(child.stdout, 'data');
    return { kill: (signal) => void child.kill(signal), ready, ended };
  }

  async postmaster(): Promise<number> {
    const { data } = await settle(join(this.home, 'service', 'postgres'), postgresAccount());
    return Number.parseInt(await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => ''), 10);
  }

  async remove(): Promise<void> {
    await removeEmbeddedPostgres(join(this.home, 'service', 'postgres'));
    await rm(this.root, { recursive: true, force: true });
  }
}

export async function gone(pid: number): Promise<void> {
  while (await stat(`/proc/${pid}`).catch(() => undefined)) await sleep(20);
}
