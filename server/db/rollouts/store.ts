import { randomUUID } from 'node:crypto';
import { sql, type Transaction } from 'kysely';
import type { Clock } from '@tidegate/client-sdk/protocol';
import {
  OFFERABLE,
  WITHDRAWN,
  type AssignmentState,
  type Observation,
  type Rollout,
  type RolloutEffect,
} from '@tidegate/rollout/core';
import {
  SILENT,
  SILENT_IN_ROLLBACK,
  type AssignmentRow,
  type RolloutRef,
  type RolloutStore,
} from '@tidegate/rollout/shell';
import { appendAudit } from '../../audit/append.ts';
import type { Db } from '../open.ts';
import type { Database } from '../schema.ts';
import { inTransaction } from '../transaction.ts';
import { draw } from './draw.ts';
import { moveMany } from './move-many.ts';
import { observe } from './observe.ts';
import { rollBack } from './roll-back.ts';
import { TIMED } from './states.ts';

/** The truth about rollouts, in PostgreSQL. */
export class PgRolloutStore implements RolloutStore {
  readonly #db: Db;
  readonly #clock: Clock;

  /** @param clock the fleet's; dates audit rows and outbox entries. */
  constructor(db: Db, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  async load(ref: RolloutRef): Promise<{ rollout: Rollout; revision: number } | undefined> {
    const row = await this.#db
      .selectFrom('rollouts')
      .select(['state', 'revision'])
      .where('organisation', '=', ref.organisation)
      .where('id', '=', ref.id)
      .executeTakeFirst();
    return row && { rollout: row.state, revision: row.revision };
  }

  observe(rollout: Rollout): Promise<Observation> {
    return observe(this.#db, rollout);
  }

  async commit(change: Parameters<RolloutStore['commit']>[0]): Promise<'committed' | 'conflict'> {
    const { rollout } = change;
    const at = new Date(this.#clock.now());
    const state = JSON.stringify(rollout);
    return inTransaction(this.#db, async (trx) => {
      // A tick that changed nothing leaves the revision alone, so that a person who read the rollout can still act on what they saw.
      const step = sql<number>`revision + case when state = ${state}::jsonb and ${change.effects.length} = 0 then 0 else 1 end`;
      const updated = await trx
        .updateTable('rollouts')
        .set({ state, status: rollout.status, due_at: dateOf(change.due), revision: step })
        .where('organisation', '=', rollout.organisation)
        .where('id', '=', rollout.id)
        .where('revision', '=', change.revision)
        .returning('id')
        .executeTakeFirst();
      if (updated === undefined) return 'conflict';
      await this.#post(trx, rollout, change.effects, at);
      await appendAudit(trx, rollout.organisation, change.audit, at);
      return 'committed';
    });
  }

  async #post(
    trx: Transaction<Database>,
    rollout: Rollout,
    effects: RolloutEffect[],
    at: Date,
  ): Promise<void> {
    // One by one, because positions must rise in the order of the effects.
    for (const effect of effects) {
      await trx
        .insertInto('outbox')
        .values({
          organisation: rollout.organisation,
          rollout: rollout.id,
          id: randomUUID(),
          effect: JSON.stringify(effect),
          created_at: at,
        })
        .execute();
    }
  }

  async due(now: number, limit: number): Promise<RolloutRef[]> {
    return this.#db
      .selectFrom('rollouts')
      .select(['organisation', 'id'])
      .where('due_at', '<=', new Date(now))
      .orderBy('due_at')
      .limit(limit)
      .execute();
  }

  async pending(ref: RolloutRef): Promise<{ id: string; effect: RolloutEffect }[]> {
    return this.#db
      .selectFrom('outbox')
      .select(['id', 'effect'])
      .where('organisation', '=', ref.organisation)
      .where('rollout', '=', ref.id)
      .where('done_at', 'is', null)
      .orderBy('position')
      .execute();
  }

  async withPending(limit: number): Promise<RolloutRef[]> {
    return this.#db
      .selectFrom('outbox')
      .select(['organisation', 'rollout as id'])
      .where('done_at', 'is', null)
      .groupBy(['organisation', 'rollout'])
      .orderBy((eb) => eb.fn.min('position'))
      .limit(limit)
      .execute();
  }

  async perform(ref: RolloutRef, effectId: string, now: number): Promise<void> {
    await inTransaction(this.#db, async (trx) => {
      // Taken first: no decision about this rollout commits while its effect is carried out.
      const row = await trx
        .selectFrom('rollouts')
        .select('state')
        .where('organisation', '=', ref.organisation)
        .where('id', '=', ref.id)
        .forNoKeyUpdate()
        .executeTakeFirst();
      const entry = await trx
        .updateTable('outbox')
        .set({ done_at: new Date(now) })
        .where('id', '=', effectId)
        .where('organisation', '=', ref.organisation)
        .where('rollout', '=', ref.id)
        .where('done_at', 'is', null)
        .returning('effect')
        .executeTakeFirst();
      if (row === undefined || entry === undefined) return;
      await carryOut(trx, row.state, entry.effect, now);
    });
  }

  async expire(ref: RolloutRef, now: number): Promise<number> {
    const found = await this.load(ref);
    if (found === undefined) return 0;
    const at = new Date(now);
    return inTransaction(this.#db, (trx) =>
      moveMany(trx, found.rollout, {
        which: sql`a.deadline_at <= ${at} and a.state = any(${TIMED})`,
        to: 'LOST',
        set: sql`
          code = coalesce(a.code, case a.state when 'ROLLING_BACK' then ${SILENT_IN_ROLLBACK} else ${SILENT} end),
          detail = coalesce(a.detail, 'No word from it in state ' || a.state || ' before its deadline.')`,
        at,
      }),
    );
  }

  async assignments(
    ref: RolloutRef,
    page: { after: string | null; limit: number; state?: AssignmentState },
  ): Promise<AssignmentRow[]> {
    let query = this.#db
      .selectFrom('assignments')
      .select(['serial', 'site', 'step', 'state', 'code', 'detail', 'updated_at'])
      .where('organisation', '=', ref.organisation)
      .where('rollout', '=', ref.id);
    if (page.after !== null) query = query.where('serial', '>', page.after);
    if (page.state !== undefined) query = query.where('state', '=', page.state);
    const rows = await query.orderBy('serial').limit(page.limit).execute();
    return rows.map(({ updated_at, ...row }) => ({ ...row, updatedAt: updated_at.getTime() }));
  }
}

/** Statuses in which a step may still be drawn; a rollout halted in between draws nobody. */
const DRAWING = new Set<Rollout['status']>(['RUNNING', 'PAUSED']);

async function carryOut(
  trx: Transaction<Database>,
  rollout: Rollout,
  effect: RolloutEffect,
  now: number,
): Promise<void> {
  switch (effect.kind) {
    case 'draw':
      if (DRAWING.has(rollout.status)) await draw(trx, rollout, effect.step, now);
      return;
    case 'withdraw':
      await moveMany(trx, rollout, {
        which: sql`(a.state = any(${[...OFFERABLE]}) or (a.state = 'LOST' and a.activated_at is null))`,
        to: 'SKIPPED',
        set: sql`deadline_at = null, code = ${WITHDRAWN.code}, detail = ${WITHDRAWN.detail}`,
        at: new Date(now),
      });
      return;
    case 'rollBack':
      await rollBack(trx, rollout, now);
      return;
    case 'wake':
      // The time is in `due_at`; there is nothing to carry out.
      return;
  }
}

function dateOf(ms: number | null): Date | null {
  return ms === null ? null : new Date(ms);
}
