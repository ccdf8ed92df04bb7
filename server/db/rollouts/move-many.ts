import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { AssignmentState, Rollout } from '@tidegate/rollout/core';
import { count } from '../moves.ts';
import type { Database } from '../schema.ts';

/**
 * Moves every assignment `a` (of charger `c`) that `which` selects, and keeps the counters true. The rows are locked first, in
 * the order of their serial numbers, so that a state read here is the state that is left.
 *
 * @returns how many moved.
 */
export async function moveMany(
  trx: Transaction<Database>,
  rollout: Rollout,
  change: { which: RawBuilder<unknown>; to: AssignmentState; set: RawBuilder<unknown>; at: Date },
): Promise<number> {
  const { rows } = await sql<{ step: number; state: AssignmentState; chargers: number }>`
    with picked as materialized (
      select a.serial, a.step, a.state
      from assignments a
      join chargers c on c.organisation = a.organisation and c.serial = a.serial
      where a.organisation = ${rollout.organisation} and a.rollout = ${rollout.id} and ${change.which}
      order by a.serial
      for update of a
    ), moved as (
      update assignments a set state = ${change.to}, updated_at = ${change.at}, ${change.set}
      from picked
      where a.organisation = ${rollout.organisation} and a.rollout = ${rollout.id} and a.serial = picked.serial
      returning picked.step, picked.state
    )
    select step, state, count(*) as chargers from moved group by step, state`.execute(trx);
  const changes = rows.flatMap(({ step, state, chargers }) => [
    { step, state, by: -chargers },
    { step, state: change.to, by: chargers },
  ]);
  await count(trx, { organisation: rollout.organisation, rollout: rollout.id }, changes);
  return rows.reduce((sum, { chargers }) => sum + chargers, 0);
}
