import { setTimeout as wallSleep } from 'node:timers/promises';
import type { WorkDeps } from './work.ts';

/** Rollouts rung in one sweep; the rest is rung in the next. */
const BATCH = 500;

/** Rings for whatever is due or was committed and not carried out: rings that were lost are made up for here. */
export async function sweep({
  store,
  doorbell,
  clock,
}: Pick<WorkDeps, 'store' | 'doorbell' | 'clock'>): Promise<number> {
  const [due, pending] = await Promise.all([store.due(clock.now(), BATCH), store.withPending(BATCH)]);
  const refs = new Map([...pending, ...due].map((ref) => [JSON.stringify([ref.organisation, ref.id]), ref]));
  for (const ref of refs.values()) await doorbell.ring(ref);
  return refs.size;
}

/**
 * Sweeps until aborted. It sleeps on the wall's clock and asks the fleet's what is due, so that a fleet whose time runs fast is
 * looked at no less often than one can.
 */
export async function sweepForever(
  deps: WorkDeps,
  options: { everyMs: number; signal: AbortSignal },
): Promise<void> {
  while (!options.signal.aborted) {
    try {
      await sweep(deps);
    } catch (error) {
      deps.log.warn({ err: error }, 'The sweep failed; the next one makes up for it.');
    }
    await wallSleep(options.everyMs, undefined, { signal: options.signal, ref: false }).catch(
      () => undefined,
    );
  }
}
