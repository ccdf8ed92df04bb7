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
