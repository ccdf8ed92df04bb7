/** One rollout of a product at a time: two would take chargers from each other, and each would be the other's concurrent control. */
import { sql } from 'kysely';
import type { RolloutStatus } from '@tidegate/rollout/core';
import { ApiError } from '../http/index.ts';
import { act, create, load, newId, type Stored } from './rollouts.ts';
import type { Call } from './route.ts';

type AnyCall = Call<unknown, unknown, unknown>;

/**
 * What offers, or is about to, or sends chargers back. A halted one offers nothing, so the mended release may follow it; so may the
 * next release while a completed one is still watched.
 */
const LIVE: readonly RolloutStatus[] = [
  'AWAITING_APPROVAL',
  'SCHEDULED',
  'RUNNING',
  'PAUSED',
  'ROLLING_BACK',
];

/**
 * A rollout that asks for approval at once.
 * @throws what `create` and `submit` throw
 */
export async function createAndSubmit(call: AnyCall, wanted: Parameters<typeof create>[1]): Promise<Stored> {
  const { organisation } = call.operator;
  return alone(call, { organisation, product: wanted.product, id: newId(call) }, async () => {
    const made = await create(call, wanted);
    return made.rollout.status === 'DRAFT' ? act(call, made.rollout.id, 'submit') : made;
  });
}

/** @throws what `act` throws; ApiError `ROLLOUT_LIVE` */
export async function submit(call: AnyCall, id: string): Promise<Stored> {
  const { rollout } = await load(call, id);
  return alone(call, rollout, () => act(call, id, 'submit'));
}

/**
 * Runs `work`, which makes the rollout live, while nobody else makes one of the same product live. The lock ends with the transaction,
 * whatever becomes of this process.
 *
 * @throws ApiError `ROLLOUT_LIVE`, naming the other; `CONFLICT` where another is being made live at this moment
 */
async function alone<T>(
  call: AnyCall,
  rollout: { organisation: string; product: string; id: string },
  work: () => Promise<T>,
): Promise<T> {
  const { organisation, product, id } = rollout;
  return call.deps.db.transaction().execute(async (trx) => {
    const name = JSON.stringify(['one rollout at a time', organisation, product]);
    // Not waited for: whoever waits would hold a connection that the holder may need.
    const { rows } = await sql<{ free: boolean }>`
      select pg_try_advisory_xact_lock(hashtextextended(${name}, 0)) as free`.execute(trx);
    if (rows[0]?.free !== true)
      throw new ApiError('CONFLICT', `Another rollout of ${product} is being made.`);
    const other = await trx
      .selectFrom('rollouts')
      .select(['id', 'version', 'status'])
      .where('organisation', '=', organisation)
      .where('product', '=', product)
      .where('status', 'in', LIVE)
      .where('id', '<>', id)
      .executeTakeFirst();
    if (other !== undefined) {
      throw new ApiError('ROLLOUT_LIVE', `${other.id} of ${product} ${other.version} is ${other.status}.`);
    }
    return work();
  });
}
