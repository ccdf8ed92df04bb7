import type { Log } from './log.ts';
import type { Doorbell, RolloutRef } from './ports.ts';

/** A doorbell within one process, for tests and the simulation: one call at a time per rollout, rings during it are kept. */
export function memoryDoorbell(log: Log): Doorbell {
  const waiting = new Map<string, RolloutRef>();
  const active = new Map<string, Promise<void>>();
  let answer: ((ref: RolloutRef) => Promise<void>) | undefined;
  let closed = false;

  const start = (key: string, ref: RolloutRef, listener: (ref: RolloutRef) => Promise<void>): void => {
    waiting.delete(key);
    const run = Promise.resolve()
      .then(() => listener(ref))
      .catch((error: unknown) => {
        log.error({ err: error, rollout: ref.id }, 'Work on a rollout failed.');
        waiting.set(key, ref);
      })
      .finally(() => {
        active.delete(key);
        setImmediate(pump);
      });
    active.set(key, run);
  };

  const pump = (): void => {
    if (answer === undefined || closed) return;
    for (const [key, ref] of waiting) if (!active.has(key)) start(key, ref, answer);
  };

  return {
    ring(ref) {
      waiting.set(JSON.stringify([ref.organisation, ref.id]), ref);
      pump();
      return Promise.resolve();
    },
    listen(listener) {
      answer = listener;
      pump();
      return Promise.resolve();
    },
    async close() {
      closed = true;
      await Promise.all(active.values());
    },
  };
}
