/** The people of the demo. Each acts through the command line, with a key or a credential of their own. */
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runTidegate } from '../tidegate.ts';
import { unlessInterrupted } from './interruption.ts';

/** `erin` and `frank` sign releases and `erin` publishes them; `alice` and `bob` operate the fleet. */
export type Person = 'erin' | 'frank' | 'alice' | 'bob';

export interface People {
  /** Runs `tidegate …` as a person and gives what it answered with `--json`. Rejects with its error, and at once when interrupted. */
  as<T>(person: Person, ...args: string[]): Promise<T>;
  /** Path of a person's credential for the service. */
  credential(person: Person): string;
}

/** What a command was refused with. */
export class DemoCommandError extends Error {
  override readonly name = 'DemoCommandError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const UNREACHABLE = 3;
const TRIES = 60;
const PAUSE_MS = 500;

/** A service that is being started again is waited for. */
async function patiently(act: () => Promise<number>, signal: AbortSignal): Promise<number> {
  for (let tries = 1; ; tries++) {
    const code = await act();
    if (code !== UNREACHABLE || tries === TRIES) return code;
    await delay(PAUSE_MS, undefined, { signal });
  }
}

export function people(
  home: string,
  product: string,
  { env, signal }: { env: NodeJS.ProcessEnv; signal: AbortSignal },
): People {
  const credential = (person: Person): string => path.join(home, 'credentials', `${person}.json`);
  return {
    credential,
    async as<T>(person: Person, ...args: string[]): Promise<T> {
      signal.throwIfAborted();
      const out: string[] = [];
      const err: string[] = [];
      const act = (): Promise<number> =>
        runTidegate([...args, '--json'], {
          out: (line) => out.push(line),
          err: (line) => err.push(line),
          json: true,
          env: {
            ...env,
            TIDEGATE_HOME: home,
            TIDEGATE_CREDENTIAL: credential(person),
            TIDEGATE_KEY: path.join(home, 'keys', person, `${product}.key.json`),
          },
          cwd: path.dirname(home),
          tty: false,
        });
      const code = await unlessInterrupted(signal, patiently(act, signal));
      const answer: unknown = JSON.parse(out.at(-1) ?? 'null');
      if (code !== 0) {
        const { error } = (answer ?? {}) as { error?: { code: string; message: string } };
        const said = error?.message ?? err.join(' ');
        throw new DemoCommandError(
          error?.code ?? 'FAILED',
          `tidegate ${args.join(' ')} (as ${person}): ${said}`,
        );
      }
      return answer as T;
    },
  };
}
