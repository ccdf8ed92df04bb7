/** Looks at the fleet all the time, and slows its clock while the machine is behind. */
import { setTimeout as delay } from 'node:timers/promises';
import { CommandError, EXIT, type ServiceClient } from '@tidegate/server/operator/commands';
import type { DemoClock } from './clock.ts';
import { nextPace, silenceOf } from './pace.ts';

const LOOK_MS = 300;
/** An answer that takes longer is none. */
const LATE_MS = 1000;

export interface Pacer {
  /** ms of the fleet's time that the chargers may be silent from now on. */
  tolerance: number;
  /** ms of the wall's time in which the clock was slowed. */
  readonly slowed: number;
  stop(): Promise<void>;
}

export function startPacer(
  service: Pick<ServiceClient, 'get'>,
  clock: Pick<DemoClock, 'now' | 'divide'>,
  tolerance: number,
): Pacer {
  const ending = new AbortController();
  let halvings = 0;
  let slowed = 0;
  const set = (silence: number | undefined): void => {
    halvings = nextPace(halvings, silence, pacer.tolerance);
    clock.divide(2 ** halvings);
  };
  const loop = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      const began = Date.now();
      const looked = silenceIn(service, clock);
      const late = setTimeout(() => set(undefined), LATE_MS);
      const silence = await looked.finally(() => clearTimeout(late));
      set(silence);
      await delay(LOOK_MS, undefined, { signal: ending.signal }).catch(() => undefined);
      if (halvings > 0) slowed += Date.now() - began;
    }
  };
  const pacer = {
    tolerance,
    get slowed() {
      return slowed;
    },
    async stop() {
      ending.abort();
      await running;
      clock.divide(1);
    },
  };
  const running = loop();
  // Nobody awaits it before `stop`.
  running.catch(() => undefined);
  return pacer;
}

/** ms of the fleet's time; undefined where the service does not answer. */
async function silenceIn(
  service: Pick<ServiceClient, 'get'>,
  clock: Pick<DemoClock, 'now'>,
): Promise<number | undefined> {
  try {
    const { items } = await service.get<{ items: { lastSeenAt: string | null }[] }>('/fleet', {
      state: 'ACTIVE',
      limit: 500,
    });
    const seen = items.flatMap(({ lastSeenAt }) => (lastSeenAt === null ? [] : [Date.parse(lastSeenAt)]));
    return silenceOf(seen, clock.now());
  } catch (error) {
    if (error instanceof CommandError && error.exit === EXIT.unreachable) return undefined;
    throw error;
  }
}
