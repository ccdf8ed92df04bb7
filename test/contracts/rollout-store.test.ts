import { decideAssignment, type Rollout } from '@tidegate/rollout/core';
import { MemoryRolloutStore } from '@tidegate/rollout/shell';
import { type Db, inTransaction, moveAssignment, PgRolloutStore } from '@tidegate/server/db';
import { seedFleet } from '../support/fleet.ts';
import { testDatabase } from '../support/postgres.ts';
import { CLOCK, type Harness, rolloutStoreContract } from './rollout-store.ts';

rolloutStoreContract('memory', (fleet) => {
  const store = new MemoryRolloutStore(fleet);
  const harness: Harness = {
    store,
    create: (rollout, due) => Promise.resolve(store.create(rollout, due)),
    apply: (ref, serial, event, now) => Promise.resolve(store.apply(ref, serial, event, now)),
    assignment(ref, serial) {
      const found = store.assignment(ref, serial);
      return Promise.resolve(found && { ...found, fallback: found.fallback?.sha256 ?? null });
    },
    hardEvent: (ref, event) => Promise.resolve(store.report(ref, { hard: [event] })),
    setRunning(serial, sha256) {
      const charger = store.chargers.get(serial);
      if (charger !== undefined) charger.running = sha256;
      return Promise.resolve();
    },
    auditActions: () => Promise.resolve(store.audit.map(({ action }) => action)),
  };
  return Promise.resolve(harness);
});

rolloutStoreContract('PostgreSQL', async (fleet) => {
  const { db } = await testDatabase();
  await seedFleet(db, fleet);
  return postgresHarness(db);
});

function postgresHarness(db: Db): Harness {
  const row = (rollout: Rollout) => ({
    organisation: rollout.organisation,
    id: rollout.id,
    product: rollout.product,
  });
  return {
    store: new PgRolloutStore(db, CLOCK),
    async create(rollout, due) {
      const { status, release } = rollout;
      const columns = {
        ...row(rollout),
        version: release.version,
        status,
        revision: 1,
        state: JSON.stringify(rollout),
      };
      const due_at = due === null ? null : new Date(due);
      await db
        .insertInto('rollouts')
        .values({ ...columns, due_at, created_at: new Date(rollout.createdAt) })
        .execute();
    },
    apply: (ref, serial, event, now) =>
      inTransaction(db, async (trx) => {
        const found = await trx
          .selectFrom('assignments')
          .selectAll()
          .where('rollout', '=', ref.id)
          .where('serial', '=', serial)
          .executeTakeFirstOrThrow();
        const ms = (date: Date | null): number | null => date && date.getTime();
        const date = (time: number | null): Date | null => (time === null ? null : new Date(time));
        const { state, code, detail } = found;
        const times = {
          offeredAt: ms(found.offered_at),
          activatedAt: ms(found.activated_at),
          deadlineAt: ms(found.deadline_at),
        };
        const decision = decideAssignment({ state, code, detail, ...times }, event, now);
        if (!decision.ok || !decision.changed) return false;
        const after = decision.assignment;
        const fields = {
          code: after.code,
          detail: after.detail,
          offered_at: date(after.offeredAt),
          activated_at: date(after.activatedAt),
          deadline_at: date(after.deadlineAt),
        };
        const key = { organisation: ref.organisation, rollout: ref.id, serial };
        return moveAssignment(trx, key, { from: state, to: after.state, at: new Date(now), fields });
      }),
    async assignment(ref, serial) {
      const found = await db
        .selectFrom('assignments')
        .select(['state', 'step', 'code', 'deadline_at', 'fallback'])
        .where('rollout', '=', ref.id)
        .where('serial', '=', serial)
        .executeTakeFirst();
      if (found === undefined) return undefined;
      const { state, step, code, deadline_at, fallback } = found;
      return {
        state,
        step,
        code,
        deadlineAt: deadline_at?.getTime() ?? null,
        fallback: fallback?.sha256 ?? null,
      };
    },
    async hardEvent(ref, event, now) {
      const columns = { organisation: ref.organisation, rollout: ref.id, ...event, at: new Date(now) };
      await db.insertInto('hard_events').values(columns).execute();
    },
    async setRunning(serial, sha256) {
      await db.updateTable('chargers').set({ running_sha256: sha256 }).where('serial', '=', serial).execute();
    },
    async auditActions() {
      const rows = await db.selectFrom('audit').select('action').orderBy('position').execute();
      return rows.map(({ action }) => action);
    },
  };
}
