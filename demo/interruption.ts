/** Ctrl-C and its like: the first asks the demo to end in order, a second one ends it at once. */
import { constants } from 'node:os';

type Ending = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

/** npm passes on what the terminal sent to everybody already: signals so close together are one. */
const ONE_WISH_MS = 1000;

export interface Interruption {
  readonly signal: AbortSignal;
  /** 128 and the signal's number, as a shell says it; undefined where nobody interrupted. */
  readonly exitCode: number | undefined;
}

export function awaitInterruption(): Interruption {
  const ending = new AbortController();
  let exitCode: number | undefined;
  let since = 0;
  const interrupt = (name: Ending): void => {
    if (exitCode === undefined) {
      exitCode = 128 + constants.signals[name];
      since = Date.now();
      ending.abort();
    } else if (Date.now() - since > ONE_WISH_MS) {
      process.exit(exitCode);
    }
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupt(name));
  // A terminal that is gone breaks each write; what runs must be ended all the same.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => interrupt('SIGHUP'));
  return {
    signal: ending.signal,
    get exitCode() {
      return exitCode;
    },
  };
}

/** Settles with `work`, or rejects as soon as `signal` aborts; what `work` comes to after that is nobody's concern. */
export function unlessInterrupted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
