import { expect, test } from 'vitest';
import type { AssignmentState } from '@tidegate/rollout/core';
import { ORGANISATION, PRODUCT, seedFleet } from '../../test/support/fleet.ts';
import { testDatabase } from '../../test/support/postgres.ts';
import { count, moveAssignment } from './moves.ts';
import type { Db } from './open.ts';
import { inTransaction } from './transaction.ts';

const SERIALS = Array.from({ length: 6 }, (_, i) => `CP-${i}`);
const ROLLOUT = { organisation: ORGANISATION, rollout: 'r-1' };
const at = new Date('2026-11-22T12:00:00Z');

test('of many that move one assignment at once, one does, and the counters stay true', async () => {
  const { db } = await testDatabase();
  await seed(db);
  const outcomes = await Promise.all(
    Array.from({ length: 8 }, () => inTransaction(db, (trx) => move(trx, 'CP-0', 'PENDING', 'OFFERED'))),
  );
  expect(outcomes.filter(Boolean).length).toBe(1);
  expect(await counters(db)).toEqual({ PENDING: 5, OFFERED: 1 });
});

test('writers that meet in opposite orders both finish: a deadlock is run again', async () => {
  const { db } = await testDatabase();
  await seed(db);
  const through = (serials: string[]) =>
    inTransaction(db, async (trx) => {
      for (const serial of serials) await move(trx, serial, 'PENDING', 'OFFERED');
    });
  await Promise.all([through(SERIALS), through(SERIALS.toReversed()), through(SERIALS)]);
  expect(await counters(db)).toEqual({ PENDING: 0, OFFERED: 6 });
});

test('a move to the same state changes fields and no counter', async () => {
  const { db } = await testDatabase();
  await seed(db);
  const key = { ...ROLLOUT, serial: 'CP-1' };
  const fields = { code: 'LATER' };
  expect(
    await inTransaction(db, (trx) =>
      moveAssignment(trx, key, { from: 'PENDING', to: 'PENDING', at, fields }),
    ),
  ).toBe(true);
  expect(await counters(db)).toEqual({ PENDING: 6 });
});

function move(
  trx: Parameters<typeof moveAssignment>[0],
  serial: string,
  from: AssignmentState,
  to: AssignmentState,
): Promise<boolean> {
  return moveAssignment(trx, { ...ROLLOUT, serial }, { from, to, at });
}

async function counters(db: Db): Promise<Partial<Record<AssignmentState, number>>> {
  const rows = await db.selectFrom('step_counts').select(['state', 'chargers']).execute();
  return Object.fromEntries(rows.map(({ state, chargers }) => [state, chargers]));
}

async function seed(db: Db): Promise<void> {
  const image = { path: `${PRODUCT}/fw.bin`, sha256: 'a'.repeat(64), length: 1, version: '1.0.0' };
  const charger = {
    product: PRODUCT,
    hardware: 'r1',
    site: 'berlin',
    stratum: 'r1/depot/north',
    running: null,
  };
  await seedFleet(db, {
    chargers: SERIALS.map((serial) => ({ ...charger, serial })),
    images: [{ ...image, securityVersion: 1, hardware: ['r1'], barred: false, fallback: [] }],
  });
  const rollout = { organisation: ORGANISATION, id: ROLLOUT.rollout, product: PRODUCT, version: '1.0.0' };
  const state = { status: 'RUNNING' as const, revision: 1, state: '{}', created_at: at };
  await db
    .insertInto('rollouts')
    .values({ ...rollout, ...state })
    .execute();
  const common = { ...ROLLOUT, step: 0, site: 'berlin', state: 'PENDING' as const, updated_at: at };
  await db
    .insertInto('assignments')
    .values(SERIALS.map((serial) => ({ ...common, serial, id: `a-${serial}` })))
    .execute();
  await inTransaction(db, (trx) => count(trx, ROLLOUT, [{ step: 0, state: 'PENDING', by: SERIALS.length }]));
}
