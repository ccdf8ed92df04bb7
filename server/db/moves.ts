import { sql, type Transaction } from 'kysely';
import type { AssignmentState } from '@tidegate/rollout/core';
import type { Database, RowChange } from './schema.ts';

export interface AssignmentKey {
  organisation: string;
  rollout: string;
  serial: string;
}

/** Columns that may change together with the state. */
export type AssignmentFields = Pick<
  RowChange<'assignments'>,
  'offered_at' | 'back_offered_at' | 'activated_at' | 'deadline_at' | 'fallback' | 'code' | 'detail'
>;

/**
 * Moves one assignment from an expected state to another and keeps `step_counts` true, inside the caller's transaction.
 * The only way by which an assignment's state changes; `from` may equal `to` to change fields alone.
 *
 * @returns whether it moved; false when somebody else moved it first, and then nothing was written.
 */
export async function moveAssignment(
  trx: Transaction<Database>,
  key: AssignmentKey,
  move: { from: AssignmentState; to: AssignmentState; at: Date; fields?: AssignmentFields },
): Promise<boolean> {
  const moved = await trx
    .updateTable('assignments')
    .set({ ...move.fields, state: move.to, updated_at: move.at })
    .where('organisation', '=', key.organisation)
    .where('rollout', '=', key.rollout)
    .where('serial', '=', key.serial)
    .where('state', '=', move.from)
    .returning('step')
    .executeTakeFirst();
  if (moved === undefined) return false;
  if (move.from !== move.to) {
    await count(trx, key, [
      { step: moved.step, state: move.from, by: -1 },
      { step: moved.step, state: move.to, by: 1 },
    ]);
  }
  return true;
}

export interface CountChange {
  step: number;
  state: AssignmentState;
  by: number;
}

/** Adds to the counters of one rollout. The rows are taken in one order, so that two writers seldom wait for each other. */
export async function count(
  trx: Transaction<Database>,
  rollout: { organisation: string; rollout: string },
  changes: CountChange[],
): Promise<void> {
  const sums = new Map<string, CountChange>();
  for (const change of changes) {
    const key = `${String(change.step).padStart(6, '0')} ${change.state}`;
    const sum = sums.get(key);
    sums.set(key, { ...change, by: (sum?.by ?? 0) + change.by });
  }
  const rows = [...sums.entries()]
    .filter(([, change]) => change.by !== 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { step, state, by }]) => ({
      organisation: rollout.organisation,
      rollout: rollout.rollout,
      step,
      state,
      chargers: by,
    }));
  if (rows.length === 0) return;
  await trx
    .insertInto('step_counts')
    .values(rows)
    .onConflict((conflict) =>
      conflict
        .columns(['organisation', 'rollout', 'step', 'state'])
        .doUpdateSet({ chargers: sql<number>`step_counts.chargers + excluded.chargers` }),
    )
    .execute();
}
