import { cohortKey, decideAssignment, type Rollout } from '@tidegate/rollout/core';
import { type MemoryCharger, MemoryRolloutStore } from '@tidegate/rollout/shell';
import { type Db, inTransaction, moveAssignment, PgRolloutStore } from '@tidegate/server/db';
import { testDatabase } from '../support/postgres.ts';
import {
  CLOCK,
  type Harness,
  type Image,
  ORGANISATION,
  PRODUCT,
  rolloutStoreContract,
} from './rollout-store.ts';

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
  await seed(db, fleet);
  return postgresHarness(db);
});

async function seed(db: Db, fleet: { chargers: MemoryCharger[]; images: Image[] }): Promise<void> {
  const at = new Date();
  const organisation = ORGANISATION;
  await db.insertInto('organisations').values({ id: organisation, name: 'Acme', created_at: at }).execute();
  const sites = [...new Set(fleet.chargers.map(({ site }) => site))];
  const siteRows = sites.map((id) => ({ organisation, id, name: id, type: 'depot', region: 'north' }));
  await db
    .insertInto('sites')
    .values(siteRows.map((row) => ({ ...row, time_zone: 'Europe/Berlin', created_at: at })))
    .execute();
  await db
    .insertInto('products')
    .values({ organisation, id: PRODUCT, hardware: ['r1', 'r2'], created_at: at })
    .execute();
  for (const image of fleet.images) {
    const { version, path, sha256, length, fallback, hardware, securityVersion } = image;
    const custom = { product: PRODUCT, version, hardware, securityVersion, fallback };
    const row = { organisation, product: PRODUCT, version, path, sha256, length, role_version: 1 };
    await db
      .insertInto('releases')
      .values({
        ...row,
        security_version: securityVersion,
        custom: JSON.stringify({ ...custom, bundles: [], notes: '', sbom: null, cves: [] }),
        published_by: 'ada',
        published_at: at,
      })
      .execute();
  }
  for (const { running, ...charger } of fleet.chargers) {
    const row = { organisation, ...charger, state: 'ACTIVE' as const, cohort_key: cohortKey(charger.serial) };
    await db
      .insertInto('chargers')
      .values({ ...row, running_sha256: running })
      .execute();
  }
}

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
        .values({ ...columns, due_at, created_at: new Date() })
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
