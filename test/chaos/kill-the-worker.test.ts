/** A worker dies by SIGKILL after each of its steps in turn; the next one finishes what it began, and nothing is lost or done twice. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { createRollout, decide, parsePlan, type Rollout, type RolloutEvent } from '@tidegate/rollout/core';
import { memoryDoorbell, NOTHING_EXPIRES, SILENT_LOG, work } from '@tidegate/rollout/shell';
import { type Db, inTransaction, moveAssignment, PgRolloutStore } from '@tidegate/server/db';
import { type Image, ORGANISATION, PRODUCT, seedFleet } from '../support/fleet.ts';
import { testDatabase } from '../support/postgres.ts';

const NOW = Date.UTC(2026, 10, 22, 12);
const HOUR = 3_600_000;
const ID = 'r-20261122-aaaaaa';
const REF = { organisation: ORGANISATION, id: ID };
const CLOCK = { now: () => NOW, sleep: () => Promise.resolve() };
const [OLD, NEW] = ['a'.repeat(64), 'b'.repeat(64)];

/** At most so many steps are expected of one look; a loop that never ends would be one. */
const MOST_STEPS = 100;

test('between the commit of a step and the draw of its cohort', () => everyKill(scheduled), 300_000);
test('between a halt, the withdrawal and the way back', () => everyKill(halted), 300_000);

/** Kills after the first step, after the second, and so on until a worker lives to its end. */
async function everyKill(arrange: (db: Db) => Promise<void>): Promise<void> {
  const { db } = await testDatabase();
  await arrange(db);
  await lookAt(db);
  const undisturbed = await truth(db);
  expect(undisturbed.effects.length).toBeGreaterThan(0);

  let kills = 0;
  for (let ended = false; !ended && kills < MOST_STEPS;) {
    const pair = await Promise.all([killed(arrange, kills + 1), killed(arrange, kills + 2)]);
    for (const { survived, found } of pair) {
      expect(found).toEqual(undisturbed);
      ended ||= survived;
      if (!ended) kills++;
    }
  }
  // It did die in the middle of things: the commit and the effect itself are more than a few steps.
  expect(kills).toBeGreaterThan(8);
  expect(kills).toBeLessThan(MOST_STEPS);
}

async function killed(arrange: (db: Db) => Promise<void>, after: number) {
  const { db, url } = await testDatabase();
  await arrange(db);
  const worker = join(import.meta.dirname, 'outbox-worker.ts');
  const child = spawn(process.execPath, [worker, url, ID, String(NOW), String(after)], { stdio: 'inherit' });
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  expect(code === 0 || signal === 'SIGKILL').toBe(true);
  await lookAt(db);
  const found = await truth(db);
  await db.destroy();
  return { survived: code === 0, found };
}

async function lookAt(db: Db): Promise<void> {
  const store = new PgRolloutStore(db, CLOCK);
  await work(REF, {
    store,
    doorbell: memoryDoorbell(SILENT_LOG),
    clock: CLOCK,
    lifetimes: NOTHING_EXPIRES,
    log: SILENT_LOG,
  });
}

/** All that a look at a rollout leaves behind, but for random ids. */
async function truth(db: Db) {
  const { rollout } = (await new PgRolloutStore(db, CLOCK).load(REF)) ?? {};
  const assignments = await db
    .selectFrom('assignments')
    .select(['serial', 'step', 'state', 'code', 'fallback', 'deadline_at'])
    .orderBy('serial')
    .execute();
  const { rows: counts } = await sql`select step, state, chargers from step_counts
    where chargers <> 0 order by step, state`.execute(db);
  const { rows: counted } = await sql`select step, state, count(*) as chargers from assignments
    group by step, state order by step, state`.execute(db);
  expect(counts).toEqual(counted);
  const effects = await db.selectFrom('outbox').select(['effect', 'done_at']).orderBy('position').execute();
  expect(effects.filter(({ done_at }) => done_at === null)).toEqual([]);
  const audit = await db.selectFrom('audit').select(['action', 'reason']).orderBy('position').execute();
  return { rollout, assignments, counts, effects, audit };
}

/** Approved, and due: the next look opens the canary and draws it. */
async function scheduled(db: Db): Promise<void> {
  await seed(db);
  const submitted = decided(draft(), { kind: 'submit', by: 'ann', reason: 'go' });
  await insert(db, submitted);
}

/** Three of six took the release and a person orders the way back: withdrawn, rolled back, each by the next look. */
async function halted(db: Db): Promise<void> {
  await scheduled(db);
  await lookAt(db);
  const store = new PgRolloutStore(db, CLOCK);
  const drawn = await store.assignments(REF, { after: null, limit: 3 });
  for (const { serial } of drawn) {
    const key = { organisation: ORGANISATION, rollout: ID, serial };
    const move = {
      from: 'PENDING',
      to: 'HEALTHY',
      at: new Date(NOW),
      fields: { activated_at: new Date(NOW) },
    } as const;
    await inTransaction(db, (trx) => moveAssignment(trx, key, move));
  }
  const found = await store.load(REF);
  if (found === undefined) throw new Error('no rollout');
  const event = { kind: 'rollback', by: 'bob', reason: 'sessions fail' } as const;
  const decision = decide(found.rollout, event, NOW);
  if (!decision.ok) throw new Error(decision.code);
  const effects = decision.effects.filter(({ kind }) => kind !== 'wake');
  await store.commit({ rollout: decision.rollout, revision: found.revision, effects, audit: [], due: NOW });
}

function draft(): Rollout {
  const plan = parsePlan({
    canary: { size: { count: 6 }, soak: { hours: 1 }, approvals: 0 },
    waves: [],
    holdBack: { count: 6 },
    approvals: 0,
  });
  if (!plan.ok) throw new Error(JSON.stringify(plan.problems));
  const release = { path: `${PRODUCT}/fw-2.0.0.bin`, version: '2.0.0', sha256: NEW, length: 1000 };
  const given = {
    id: ID,
    organisation: ORGANISATION,
    product: PRODUCT,
    release,
    author: 'ann',
    seed: 'seed',
  };
  const created = createRollout({ ...given, plan: plan.plan, population: 12, now: NOW - HOUR });
  if (!created.ok) throw new Error(JSON.stringify(created.problems));
  return created.rollout;
}

function decided(rollout: Rollout, event: RolloutEvent): Rollout {
  const decision = decide(rollout, event, NOW);
  if (!decision.ok) throw new Error(decision.code);
  return decision.rollout;
}

async function insert(db: Db, rollout: Rollout): Promise<void> {
  const { organisation, id, product, release, status } = rollout;
  const columns = { organisation, id, product, version: release.version, status, revision: 1 };
  await db
    .insertInto('rollouts')
    .values({ ...columns, state: JSON.stringify(rollout), created_at: new Date(rollout.createdAt) })
    .execute();
}

function seed(db: Db): Promise<void> {
  const image = (version: string, sha256: string, fallback: Image['fallback']): Image => ({
    path: `${PRODUCT}/fw-${version}.bin`,
    sha256,
    length: 1000,
    version,
    securityVersion: 1,
    hardware: ['r1'],
    barred: false,
    fallback,
  });
  const old = image('1.0.0', OLD, []);
  const expires = new Date(NOW + 1000 * HOUR).toISOString();
  const chargers = Array.from({ length: 12 }, (_, i) => ({
    serial: `CP-${String(i).padStart(2, '0')}`,
    product: PRODUCT,
    hardware: 'r1',
    site: `site-${i % 3}`,
    stratum: 'r1/depot/north',
    running: OLD,
  }));
  const images = [old, image('2.0.0', NEW, [{ path: old.path, sha256: OLD, expires, auto: true }])];
  return seedFleet(db, { chargers, images });
}
