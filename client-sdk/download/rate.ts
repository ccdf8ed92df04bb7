/** Reads a body no slower than a minimum rate: a mirror that trickles is left, one that is slow but steady is not. */
import { Refusal, type Clock } from '../protocol/index.ts';

export interface RateFloor {
  /** The wall's: bytes arrive in its time. */
  clock: Clock;
  /** Bytes per second, averaged over a window. */
  minimumRate: number;
  /** Milliseconds. */
  window: number;
}

/**
 * Runs `work`, and aborts its signal when in any one window fewer bytes were counted than the rate asks for, or when `outer` aborts.
 * `work` ends when its signal aborts.
 * @throws the signal's reason: Refusal DOWNLOAD_TOO_SLOW or that of `outer`; whatever else `work` throws.
 */
export async function atMinimumRate<T>(
  floor: RateFloor,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal, count: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const signal = outer === undefined ? stop.signal : AbortSignal.any([outer, stop.signal]);
  signal.throwIfAborted();
  let received = 0;
  const take = () => {
    const seen = received;
    received = 0;
    return seen;
  };
  const watching = watch(floor, signal, take).catch((error: unknown) => stop.abort(error));
  try {
    return await work(signal, (bytes) => (received += bytes));
  } finally {
    stop.abort();
    await watching;
  }
}

async function watch({ clock, window, minimumRate }: RateFloor, signal: AbortSignal, take: () => number) {
  while (!signal.aborted) {
    await clock.sleep(window, signal);
    const bytes = take();
    if (bytes * 1000 < minimumRate * window) {
      throw new Refusal('DOWNLOAD_TOO_SLOW', `${bytes} bytes in ${window} ms`);
    }
  }
}

/** Waits for a step of somebody else, and no longer than until `signal` aborts, whether or not the step heeds it. */
export async function untilAborted<T>(step: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([step, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
    step.catch(() => undefined);
  }
}
