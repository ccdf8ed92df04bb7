/** What only the database knows of, and what only its locks keep. */
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { createRollout, parsePlan, type Rollout } from '@tidegate/rollout/core';
import { type Db, PgRolloutStore } from '@tidegate/server/db';
import { ORGANISATION, PRODUCT, seedFleet } from '../support/fleet.ts';
import { testDatabase } from '../support/postgres.ts';
import { CLOCK } from './rollout-store.ts';

const NEW = 'c'.repeat(64);
const ID = 'r-20261122-aaaaaa';
const ref = { organisation: ORGANISATION, id: ID };

test('an effect waits for a halt that is being committed, and then draws nobody', async () => {
  const { db, store, rollout } = await arrange();
  const draw = { kind: 'draw', step: 0 } as const;
  await store.commit({ rollout, revision: 1, effects: [draw], audit: [], due: null });
  const [effect] = await store.pending(ref);
  // Not returned as itself: the transaction would wait for it, and it for the transaction.
  const [performing] = await db.transaction().execute(async (trx) => {
    const state = JSON.stringify({ ...rollout, status: 'HALTED' });
    await trx.updateTable('rollouts').set({ state, status: 'HALTED' }).where('id', '=', ID).execute();
    const performed = store.perform(ref, effect?.id ?? '', CLOCK.now());
    for (let waiting = 0; waiting < 1;) {
      const { rows } = await sql<{ n: number }>`select count(*) as n from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()`.execute(db);
      const over = await Promise.race([performed.then(() => true), Promise.resolve(false)]);
      waiting = over ? 1 : (rows[0]?.n ?? 0);
    }
    return [performed];
  });
  await performing;
  expect(await store.assignments(ref, { after: null, limit: 9 })).toEqual([]);
  expect(await store.pending(ref)).toEqual([]);
});

test('who is retired is neither drawn nor taken back', async () => {
  const { db, store, rollout } = await arrange();
  await db.updateTable('chargers').set({ state: 'RETIRED' }).where('serial', '=', 'CP-1').execute();
  const effect = async (now: Rollout, kind: { kind: 'draw'; step: number } | { kind: 'rollBack' }) => {
    const { revision = 0 } = (await store.load(ref)) ?? {};
    await store.commit({ rollout: now, revision, effects: [kind], audit: [], due: null });
    for (const { id } of await store.pending(ref)) await store.perform(ref, id, CLOCK.now());
    return (await store.assignments(ref, { after: null, limit: 9 })).map(({ serial }) => serial);
  };
  expect(await effect(rollout, { kind: 'draw', step: 0 })).toEqual(['CP-2', 'CP-3']);
  await db.updateTable('chargers').set({ running_sha256: NEW }).execute();
  const back = await effect({ ...rollout, status: 'ROLLING_BACK' }, { kind: 'rollBack' });
  expect(back).toEqual(['CP-2', 'CP-3']);
});

/** Three chargers and a running rollout, whose canary of two is not drawn yet. */
async function arrange(): Promise<{ db: Db; store: PgRolloutStore; rollout: Rollout }> {
  const { db } = await testDatabase();
  const image = { path: `${PRODUCT}/2`, sha256: NEW, length: 1, version: '2.0.0', securityVersion: 1 };
  const chargers = ['CP-1', 'CP-2', 'CP-3'].map((serial) => ({
    serial,
    product: PRODUCT,
    hardware: 'r1',
    site: 'site-1',
    stratum: 'r1/depot/north',
    running: null,
  }));
  await seedFleet(db, { chargers, images: [{ ...image, hardware: ['r1'], barred: false, fallback: [] }] });
  const rollout = running();
  await db
    .insertInto('rollouts')
    .values({
      organisation: ORGANISATION,
      id: ID,
      product: PRODUCT,
      version: '2.0.0',
      status: 'RUNNING',
      revision: 1,
      state: JSON.stringify(rollout),
      created_at: new Date(0),
    })
    .execute();
  const store = new PgRolloutStore(db, CLOCK);
  return { db, store, rollout };
}

function running(): Rollout {
  const plan = parsePlan({ canary: { size: { count: 2 } }, waves: [], holdBack: { count: 1 } });
  if (!plan.ok) throw new Error(JSON.stringify(plan.problems));
  const release = { path: `${PRODUCT}/2`, version: '2.0.0', sha256: NEW, length: 1 };
  const given = { id: ID, organisation: ORGANISATION, product: PRODUCT, release, author: 'ann', seed: 's' };
  const created = createRollout({ ...given, plan: plan.plan, population: 3, now: 0 });
  if (!created.ok) throw new Error(JSON.stringify(created.problems));
  return { ...created.rollout, status: 'RUNNING', current: 0 };
}
