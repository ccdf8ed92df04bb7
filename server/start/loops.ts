import { setTimeout as wallSleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Clock } from '@tidegate/client-sdk/protocol';

/** One thing that is done again and again until the service stops. */
export interface Loop {
  name: string;
  /** Pause between two runs, in ms of the fleet's time. */
  everyMs: number;
  run: () => Promise<unknown>;
}

/** Where the fleet's time runs fast, pauses become short, but not shorter than this on the wall's clock. */
const LEAST_PAUSE_MS = 250;

/** Runs each loop on its own; a run that fails is logged and tried again after the pause. Resolves when all have stopped. */
export async function runLoops(loops: Loop[], clock: Clock, signal: AbortSignal, log: Logger): Promise<void> {
  await Promise.all(loops.map((loop) => runLoop(loop, clock, signal, log)));
}

async function runLoop(
  { name, everyMs, run }: Loop,
  clock: Clock,
  signal: AbortSignal,
  log: Logger,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await run();
    } catch (error) {
      log.error({ err: error, loop: name }, 'A periodic task failed; it is tried again.');
    }
    const pauses = [clock.sleep(everyMs, signal), wallSleep(LEAST_PAUSE_MS, undefined, { signal })];
    // An aborted pause is the end, and no error.
    await Promise.allSettled(pauses);
  }
}
