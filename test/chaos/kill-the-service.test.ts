/** Invariant 9: an acknowledged report is never lost and counts once, through kill −9 of the service at any moment; and so does a rollout. */
import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { fleetClock } from '@tidegate/client-sdk/agent';
import { SIGNALS, SIGNAL_NAMES, type ExposureUnit, type HealthReport } from '@tidegate/client-sdk/protocol';
import { type Db, openDatabase, startEmbeddedPostgres } from '@tidegate/server/db';
import { release } from '../../demo/releases.ts';
import { verifyAudit } from '../../server/audit/index.ts';
import { clockFile, install, type Installation } from '../support/installation.ts';
import { type Fleet, makeFleet } from './fleet.ts';
import type { Witness } from './witness.ts';

const SEED = 'chaos-1';
/** Fleet seconds in a second of the wall. */
const SPEED = 1_200;
/** An evening: sessions are rare at a workplace, and an active one keeps its charger from activating. */
const EVENING = Date.parse('2026-11-22T18:00:00Z');
const KILLS = 3;
/** A busy machine may take its time; nothing here is about speed. */
const PATIENCE_MS = 8 * 60_000;
const PLAN = {
  canary: { size: { count: 2 }, soak: { hours: 1 }, approvals: 0 },
  waves: [{ size: { count: 2 }, soak: { hours: 1 }, approvals: 0 }],
  holdBack: { count: 2 },
  approvals: 1,
  limits: { perSite: 2, inFlight: 4 },
  // A busy machine takes its time to start the service again.
  deadlineHours: 200,
  // Every event counts, so that sums can be compared.
  // Nobody has an earlier rate here, so frail chargers could pass for an effect.
  detector: { deduplicateMinutes: 0, alpha: 1e-9 },
  watchHours: 240,
};

const endings: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const end of endings.reverse()) await end();
});

test(
  'a rollout completes, and every report counts once, while the service is killed and answers are lost',
  async () => {
    const installation = await install({ fleet: EVENING, speed: SPEED });
    endings.push(() => installation.remove());
    const fleet = await fleetOnFactory(installation);
    endings.push(() => fleet.stop());
    const id = await startRollout(installation);
    // Every report is of the time in which the rollout counts; else part of it would be baseline.
    fleet.run();

    const kills = await killUntilDone(installation, id);
    await fleet.stop();
    await installation.stop();

    const postgres = await startEmbeddedPostgres(installation.postgres);
    endings.push(() => postgres.stop());
    const db = openDatabase(postgres.url);
    endings.push(() => db.destroy());
    expect(kills).toBe(KILLS);
    expect(await verifyAudit(db, 'acme')).toMatchObject({ ok: true });
    for (const { serial, installed, changed } of fleet.witnesses) {
      expect([serial, installed.length, changed]).toEqual([serial, 1, []]);
    }
    await everyReportCountsOnce(db, id, fleet.witnesses);
  },
  PATIENCE_MS,
);

async function fleetOnFactory(installation: Installation): Promise<Fleet> {
  const images = await Promise.all(
    ['1.0.0', '1.1.0'].map(async (version) => {
      const file = path.join(installation.folder, 'images', `dc150-${version}.bin`);
      await writeFile(file, randomBytes(200_000));
      return { version, image: file, notes: '', hardware: 'dc150-r2' };
    }),
  );
  const [one, two] = images;
  if (one === undefined || two === undefined) throw new Error('two images');
  const factory = await release(installation.people, { ...one, fallback: ['none'], adopt: true });
  await release(installation.people, { ...two, fallback: ['1.0.0'] });
  const clock = fleetClock(clockFile(installation.folder));
  return makeFleet(installation, { chargers: 6, factory, image: one.image, clock, seed: SEED });
}

async function startRollout({ folder, people }: Installation): Promise<string> {
  const plan = path.join(folder, 'plan.json');
  await writeFile(plan, JSON.stringify(PLAN));
  const words = ['--product', 'acme.dc150', '--version', '1.1.0', '--plan', plan, '--reason', 'chaos'];
  const { id } = await people.as<{ id: string }>('alice', 'rollout', 'create', ...words);
  await people.as('bob', 'rollout', 'approve', id, '--reason', 'chaos');
  while ((await look(people, id)).status !== 'RUNNING') await delay(50);
  return id;
}

interface View {
  status: string;
  pausedBecause: string | null;
  evidence: { sentence: string } | null;
}

/** People wait for a service that is away, so this does too. */
function look(people: Installation['people'], id: string): Promise<View> {
  return people.as<View>('bob', 'rollout', 'show', id);
}

/** @returns how often it was killed before the rollout had completed. */
async function killUntilDone({ service, people, pid }: Installation, id: string): Promise<number> {
  let kills = 0;
  for (;;) {
    const pause = kills < KILLS ? 300 + 2_200 * chance(kills) : 500;
    await delay(pause);
    const { status, pausedBecause, evidence } = await look(people, id);
    if (status === 'COMPLETED') return kills;
    expect([status, pausedBecause, evidence]).toEqual(['RUNNING', null, null]);
    if (kills === KILLS) continue;
    // Between any two steps: the look above ended a while ago.
    await delay(400 * chance(kills + 100));
    process.kill(pid(), 'SIGKILL');
    kills += 1;
    await delay(500);
    await service.ready(60_000);
  }
}

/** 0 to 1, the same for the same seed. */
function chance(n: number): number {
  return createHash('sha256').update(`${SEED} ${n}`).digest().readUInt32BE(0) / 2 ** 32;
}

/** What the chargers told and the database committed, against what it counted: by signal, events and exposure. */
async function everyReportCountsOnce(db: Db, id: string, witnesses: Witness[]): Promise<void> {
  const last = await db.selectFrom('chargers').select(['serial', 'last_report', 'baseline']).execute();
  const told: HealthReport[] = [];
  const activations = await db
    .selectFrom('assignments')
    .select(['serial', 'activated_at'])
    .where('rollout', '=', id)
    .execute();
  const activatedAt = new Map(activations.map((each) => [each.serial, each.activated_at?.getTime()]));
  for (const { serial, last_report, baseline } of last) {
    const witness = witnesses.find((each) => each.serial === serial);
    if (witness === undefined) throw new Error(serial);
    // What was acknowledged was committed.
    expect(last_report).toBeGreaterThanOrEqual(witness.acknowledged);
    expect(witness.acknowledged).toBeGreaterThan(0);
    expect(baseline).toEqual({});
    // What ran between the service's yes to an activation and the boot, which a kill may stretch, counts on neither side.
    const between = ({ sha256, from }: HealthReport) =>
      sha256 !== witness.installed[0] && Date.parse(from) >= (activatedAt.get(serial) ?? Infinity);
    const committed = [...witness.reports.values()].filter(({ sequence }) => sequence <= last_report);
    told.push(...committed.filter((report) => !between(report)));
  }
  const bins = await db.selectFrom('signal_bins').selectAll().where('rollout', '=', id).execute();
  expect(told.flatMap(({ events }) => events).length).toBeGreaterThan(10);
  for (const signal of SIGNAL_NAMES) {
    const counted = bins.filter((bin) => bin.signal === signal);
    const exposure = sum(counted.map((bin) => bin.treated_exposure + bin.control_exposure));
    const unit: ExposureUnit = SIGNALS[signal].exposure;
    expect([signal, exposure]).toEqual([
      signal,
      expect.closeTo(sum(told.map((report) => report.exposure[unit] ?? 0)), 6),
    ]);
    // Offline episodes are found by the service, and the chargers' own tell of the same silence.
    if (signal === 'offline') continue;
    const events = sum(counted.map((bin) => bin.treated_events + bin.control_events));
    const toldEvents = told.flatMap((report) => report.events).filter((event) => event.signal === signal);
    expect([signal, events]).toEqual([signal, toldEvents.length]);
  }
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
