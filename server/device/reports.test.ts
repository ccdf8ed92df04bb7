import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { EnrolAnswer, HealthEvent, Signal } from '@tidegate/client-sdk/protocol';
import { evaluate } from '@tidegate/rollout/health';
import { memoryDoorbell, NOTHING_EXPIRES, SILENT_LOG, work } from '@tidegate/rollout/shell';
import { checkInBatch } from './check-in/check-in.ts';
import { markSilent } from './index.ts';
import {
  type Fleet,
  HARDWARE,
  NEW,
  OLD,
  ORG,
  PRODUCT,
  type TestCharger,
  act,
  addCharger,
  addChargers,
  arrange,
  checkIn,
  checkInBody,
  confirm,
  forget,
  makeFleet,
  report,
  startRollout,
} from './testing/fleet.ts';
import { newKeyAndRequest } from './testing/service.ts';

const HOUR = 3_600_000;
let fleet: Fleet;

beforeAll(async () => {
  fleet = await makeFleet();
});
afterEach(async () => {
  expect(fleet.service.errors).toEqual([]);
  await forget(fleet);
  fleet.clock.pass(24);
});
afterAll(() => fleet.close());

function event(signal: Signal, minutesAgo: number, code = 'x', severity?: number): HealthEvent {
  const at = new Date(fleet.clock.now() - minutesAgo * 60_000).toISOString();
  return { at, signal, code, ...(severity === undefined ? {} : { severity }) };
}

const charger = async (serial: string) =>
  await fleet.db.selectFrom('chargers').selectAll().where('serial', '=', serial).executeTakeFirstOrThrow();

/** Sums over all bins of a signal. */
async function sums(signal: Signal) {
  const rows = await fleet.db.selectFrom('signal_bins').selectAll().where('signal', '=', signal).execute();
  const sum = (pick: (row: (typeof rows)[number]) => number) => rows.reduce((all, row) => all + pick(row), 0);
  return {
    treated: [sum((row) => row.treated_events), sum((row) => row.treated_exposure)],
    control: [sum((row) => row.control_events), sum((row) => row.control_exposure)],
  };
}

/** Offered, confirmed and booted. */
async function treat(one: TestCharger): Promise<void> {
  await confirm(fleet, one, (await checkIn(fleet, one)).said.assignment ?? '');
}
async function enrolAgain({ serial }: TestCharger): Promise<TestCharger> {
  const token = `again-${serial}-${fleet.clock.now()}`;
  await fleet.db
    .insertInto('enrolment_tokens')
    .values({
      organisation: ORG,
      serial,
      product: PRODUCT,
      hardware: HARDWARE,
      site: 'berlin',
      token_sha256: createHash('sha256').update(token).digest(),
      created_by: 'ann',
      created_at: new Date(fleet.clock.now()),
      expires_at: new Date(fleet.clock.now() + HOUR),
    })
    .execute();
  const { key, csr } = await newKeyAndRequest();
  const body = { token, serial, hardware: HARDWARE, csr };
  const { status, json } = await fleet.service.call('POST', '/device/v1/enrol', { body });
  if (status !== 200) throw new Error(JSON.stringify(json));
  return { serial, client: { key, cert: (json as EnrolAnswer).certificate } };
}

const onNew = { running: { sha256: NEW, version: '1.1.0', securityVersion: 1 } };

test('a report counts once, however often it comes, and gaps do not stop what follows', async () => {
  const one = await addCharger(fleet, 'SN-1');
  const reports = [
    report(fleet, 1, { events: [event('fault', 150)] }, 2),
    report(fleet, 2, {}, 1),
    report(fleet, 5),
  ];
  expect((await checkIn(fleet, one, { reports })).acknowledged).toBe(5);
  expect((await checkIn(fleet, one, { reports })).acknowledged).toBe(5);
  expect((await checkIn(fleet, one, { reports: [report(fleet, 4)] })).acknowledged).toBe(5);
  expect((await charger('SN-1')).baseline).toMatchObject({
    fault: [1, 6],
    offline: [0, 3],
    failedStart: [0, 12],
  });
});

test('committed, then killed before the answer: the report that comes again counts once', async () => {
  const one = await addCharger(fleet, 'SN-1');
  const body = checkInBody({ reports: [report(fleet, 1, { events: [event('fault', 30)] })] });
  const certificateSha256 = (await charger('SN-1')).certificate_sha256 ?? '';
  const identity = {
    organisation: ORG,
    serial: 'SN-1',
    product: '',
    hardware: '',
    site: '',
    certificateSha256,
  };
  // The transaction commits, and its answer goes nowhere.
  await checkInBatch(fleet.deps, [{ charger: identity, body }]);
  expect((await checkIn(fleet, one, { reports: body.reports })).acknowledged).toBe(1);
  expect((await charger('SN-1')).baseline).toMatchObject({ fault: [1, 2] });
});

/** A factory image has no digest on record. */
const onFactory = { running: { sha256: null, version: '1.0.0', securityVersion: 1 } };

test('an adopted digest survives the check-ins of an image that has none on record, and a trial of another', async () => {
  const one = await addCharger(fleet, 'SN-1');
  await checkIn(fleet, one, onFactory);
  const adopt = (sha256: string | null) =>
    fleet.db.updateTable('chargers').set({ running_sha256: sha256 }).where('serial', '=', 'SN-1').execute();
  const running = async () => (await charger('SN-1')).running_sha256;
  await adopt(null);
  await checkIn(fleet, one, onFactory);
  expect(await running()).toBeNull();
  await adopt(OLD);
  await checkIn(fleet, one, onFactory);
  expect(await running()).toBe(OLD);
  await startRollout(fleet, [one]);
  await treat(one);
  await checkIn(fleet, one, onNew);
  expect(await running()).toBe(NEW);
  await checkIn(fleet, one, onFactory);
  expect(await running()).toBe(OLD);
  await checkIn(fleet, one, { running: { ...onFactory.running, version: '0.9.0' } });
  expect(await running()).toBeNull();
});

test('on an adopted image, reports without a digest are control; where it is the release itself, they are not', async () => {
  const [before, already] = await addChargers(fleet, 2);
  if (!before || !already) throw new Error('two chargers');
  const onFactoryNew = { running: { ...onFactory.running, version: '1.1.0' } };
  await checkIn(fleet, before, onFactory);
  await fleet.db
    .updateTable('chargers')
    .set({ running_sha256: NEW, running_version: '1.1.0' })
    .where('serial', '=', already.serial)
    .execute();
  await startRollout(fleet, []);
  fleet.clock.pass(2);
  const reports = [report(fleet, 1, { sha256: null })];
  await checkIn(fleet, before, { ...onFactory, reports });
  expect(await sums('fault')).toEqual({ treated: [0, 0], control: [0, 2] });
  await checkIn(fleet, already, { ...onFactoryNew, reports });
  // Its operator says that it runs the release, no assignment of this rollout does: it is no evidence for either side.
  expect(await sums('fault')).toEqual({ treated: [0, 0], control: [0, 2] });
});

test('one charger that calls many times at once is counted once', async () => {
  const one = await addCharger(fleet, 'SN-1');
  const reports = [report(fleet, 1, {}, 1), report(fleet, 2)];
  const said = await Promise.all(Array.from({ length: 8 }, () => checkIn(fleet, one, { reports })));
  expect(new Set(said.map(({ said: { sequence } }) => sequence)).size).toBe(8);
  expect((await charger('SN-1')).baseline).toMatchObject({ offline: [0, 2] });
});

test('events within the window count once, whatever their code, and late ones in their own bin', async () => {
  const one = await addCharger(fleet, 'SN-1');
  const two = await addCharger(fleet, 'SN-2');
  await startRollout(fleet, [two]);
  fleet.clock.pass(10);
  const late = report(fleet, 1, { events: [event('fault', 270, 'a')] }, 4);
  const now = report(fleet, 2, {
    events: [
      event('fault', 50, 'a'),
      event('fault', 40, 'a'),
      event('fault', 40, 'b'),
      event('fault', 20, 'a'),
    ],
  });
  await checkIn(fleet, one, { reports: [late, now] });
  expect(await sums('fault')).toEqual({ treated: [0, 0], control: [3, 4] });
  const bins = await fleet.db
    .selectFrom('signal_bins')
    .select('bin_start')
    .where('control_events', '>', 0)
    .orderBy('bin_start')
    .execute();
  expect((fleet.clock.now() - (bins[0]?.bin_start.getTime() ?? 0)) / HOUR).toBeGreaterThan(4);
});

test('treated from activation, control before, neither after going back', async () => {
  const one = await addCharger(fleet, 'SN-1');
  await startRollout(fleet, [one]);
  fleet.clock.pass(4);
  const late = report(fleet, 1, { events: [event('fault', 150)] }, 2);
  await treat(one);
  fleet.clock.pass(2);
  const treated = report(fleet, 2, { sha256: NEW, events: [event('fault', 30)] });
  await checkIn(fleet, one, { ...onNew, reports: [late, treated] });
  expect(await sums('fault')).toEqual({ treated: [1, 2], control: [1, 2] });
  fleet.clock.pass(2);
  await checkIn(fleet, one, { reports: [report(fleet, 3, { events: [event('fault', 10)] })] });
  expect(await sums('fault')).toEqual({ treated: [1, 2], control: [1, 2] });
  const steps = await fleet.db
    .selectFrom('step_exposure')
    .select(['step', 'treated_charger_hours'])
    .execute();
  expect(steps).toEqual([{ step: 0, treated_charger_hours: 1 }]);
});

test("exposure is weighted by the charger's own earlier rate, and the baseline is frozen meanwhile", async () => {
  const one = await addCharger(fleet, 'SN-1');
  const baseline = JSON.stringify({ fault: [3, 100] });
  await fleet.db.updateTable('chargers').set({ baseline }).execute();
  await startRollout(fleet, []);
  await fleet.db
    .updateTable('rollouts')
    .set({ mean_rates: JSON.stringify({ fault: 0.01 }) })
    .execute();
  fleet.clock.pass(2);
  await checkIn(fleet, one, { reports: [report(fleet, 1, { events: [event('fault', 5)] })] });
  // (1 + 3) / (1 + 0.01 × 100) = 2, over 2 connector-hours.
  expect((await sums('fault')).control).toEqual([1, 4]);
  expect((await charger('SN-1')).baseline).toEqual({ fault: [3, 100] });
});

test('hard events of treated chargers are noted once: severity 0, a forged image, a boot loop told one boot at a time', async () => {
  const [a, b, c, d] = await addChargers(fleet, 4);
  if (!a || !b || !c || !d) throw new Error('four chargers');
  await startRollout(fleet, [a, b, c]);
  for (const one of [a, b, c]) await treat(one);
  fleet.clock.pass(2);
  const tell = (one: TestCharger, sequence: number, events: HealthEvent[]) =>
    checkIn(fleet, one, { ...onNew, reports: [report(fleet, sequence, { sha256: NEW, events })] });
  await tell(a, 1, [event('fault', 5, 'Fire', 0), event('fault', 4, 'Smoke', 0)]);
  await tell(b, 1, [event('security', 5, 'InvalidFirmwareSignature')]);
  await tell(c, 1, [event('boot', 12)]);
  await tell(c, 2, [event('boot', 8)]);
  expect(await fleet.db.selectFrom('hard_events').select('serial').execute()).toHaveLength(2);
  await tell(c, 3, [event('boot', 4)]);
  // In control it is a fault of the fleet's, not of the release.
  await checkIn(fleet, d, { reports: [report(fleet, 1, { events: [event('fault', 5, 'Fire', 0)] })] });
  const hard = await fleet.db
    .selectFrom('hard_events')
    .select(['serial', 'code'])
    .orderBy('serial')
    .execute();
  expect(hard).toEqual([
    { serial: a.serial, code: 'Fire' },
    { serial: b.serial, code: 'InvalidFirmwareSignature' },
    { serial: c.serial, code: 'BOOT_LOOP' },
  ]);
});

test('a charger cannot claim more time than has passed, nor time to come', async () => {
  const one = await addCharger(fleet, 'SN-1');
  const later = new Date(fleet.clock.now() + HOUR).toISOString();
  const greedy = { chargerHours: 1_000, connectorHours: 100_000, attempts: 1e6, transactions: 1e6 };
  const ahead = report(fleet, 2, { from: later, to: new Date(fleet.clock.now() + 2 * HOUR).toISOString() });
  const reports = [report(fleet, 1, { exposure: greedy }), ahead];
  expect((await checkIn(fleet, one, { reports })).acknowledged).toBe(2);
  expect((await charger('SN-1')).baseline).toMatchObject({
    offline: [0, 1],
    fault: [0, 64],
    failedStart: [0, 768],
    abnormalStop: [0, 768],
  });
});

test('nor the time of its last report again, nor half a century before', async () => {
  const one = await addCharger(fleet, 'SN-1');
  const exposure = { chargerHours: 1e6, connectorHours: 1e6 };
  const begins = (at: number) => ({ from: new Date(at).toISOString(), exposure });
  await checkIn(fleet, one, { reports: [report(fleet, 1, begins(0), 2)] });
  const hours = async () => (await charger('SN-1')).baseline.offline?.[1];
  expect(await hours()).toBe(31 * 24);
  await checkIn(fleet, one, { reports: [report(fleet, 2, begins(0))] });
  expect(await hours()).toBe(31 * 24 + 2);
  await checkIn(fleet, one, { reports: [report(fleet, 3), report(fleet, 4, {}, 1)] });
  expect(await hours()).toBe(31 * 24 + 2);
});

/** The last twelve hours of a charger, with faults of so many kinds at these minutes of each. */
async function tellHalfDay(one: TestCharger, sha256: string, minutes: (hour: number) => number[], kinds = 1) {
  const reports = Array.from({ length: 12 }, (_, hour) => {
    const ago = (11 - hour) * 60;
    const codes = Array.from({ length: kinds }, (_, i) => `kind-${i}`);
    const events = minutes(hour).flatMap((minute) => codes.map((code) => event('fault', ago + minute, code)));
    return report(fleet, hour + 1, { sha256, events }, 11 - hour);
  });
  // Four hours of thirty kinds is what fits into one check-in.
  for (let i = 0; i < reports.length; i += 4) {
    await checkIn(fleet, one, { ...(sha256 === NEW ? onNew : {}), reports: reports.slice(i, i + 4) });
  }
}

/** Four treated chargers at two sites and six others, twelve hours later. */
async function halfADay() {
  const treated = [...(await addChargers(fleet, 2, 'berlin')), ...(await addChargers(fleet, 2, 'paris'))];
  const others = await addChargers(fleet, 6, 'rome');
  const id = await startRollout(fleet, treated);
  for (const one of treated) await treat(one);
  fleet.clock.pass(12);
  const look = async () => {
    const { store, clock } = fleet;
    const ref = { organisation: ORG, id };
    await work(ref, {
      store,
      clock,
      doorbell: memoryDoorbell(SILENT_LOG),
      lifetimes: NOTHING_EXPIRES,
      log: SILENT_LOG,
    });
    return (await store.load(ref))?.rollout;
  };
  return { id, treated, others, look };
}

const seldom = (hour: number): number[] => (hour % 6 === 0 ? [30] : []);

test('one stolen identity that invents faults of thirty kinds takes no release back: the rollout pauses and names it', async () => {
  const { id, treated, others, look } = await halfADay();
  const [liar, ...honest] = treated;
  if (!liar) throw new Error('a charger');
  await tellHalfDay(liar, NEW, () => [55, 40, 25, 10], 30);
  for (const one of honest) await tellHalfDay(one, NEW, seldom);
  for (const one of others) await tellHalfDay(one, OLD, seldom);
  expect((await sums('fault')).treated).toEqual([48 + 3 * 2, 4 * 12 * 2]);
  // While the step is filling it is told, and the others that could bear it out still come; once the step is full it pauses.
  expect(await look()).toMatchObject({ status: 'RUNNING', noticed: { told: [liar.serial] } });
  await arrange(fleet, id, {}, 'SOAKING');
  const paused = await look();
  expect(paused).toMatchObject({ status: 'PAUSED', evidence: null, noticed: { chargers: [liar.serial] } });
  expect(paused?.pausedBecause).toContain(`${liar.serial} at berlin had 48 of them`);
  await act(fleet, id, 'resume');
  expect((await look())?.status).toBe('RUNNING');
});

test('what all treated chargers bear out is taken back, and the evidence says who they are', async () => {
  const { treated, others, look } = await halfADay();
  for (const one of treated) await tellHalfDay(one, NEW, () => [40, 10]);
  for (const one of others) await tellHalfDay(one, OLD, seldom);
  const halted = await look();
  expect(halted?.status).toBe('ROLLING_BACK');
  expect(halted?.evidence).toMatchObject({ kind: 'detector', signal: 'fault', comparison: 'concurrent' });
  const behind = halted?.evidence?.behind;
  expect(behind?.chargers.map(({ serial, events }) => [serial, events]).sort()).toEqual(
    treated.map(({ serial }) => [serial, 24]),
  );
  expect(behind?.others).toEqual({ chargers: 3, sites: 2 });
  // As strong as if the first one had not been treated: the other three's 72 faults in 72 connector-hours, beside 12 in 144.
  const { plan } = halted ?? { plan: undefined };
  if (plan === undefined) throw new Error('a plan');
  const bins = [{ signal: 'fault' as const, from: 0, treatedEvents: 72, treatedExposure: 72 }];
  const control = { controlEvents: 12, controlExposure: 144 };
  const alone =
    evaluate(
      bins.map((each) => ({ ...each, ...control })),
      plan.detector,
    ).worst?.lnM ?? NaN;
  expect(behind?.lnMWithoutFirst).toBeCloseTo(alone, 6);
});

test('who claims the release without a confirmed activation counts in neither, and gets into the log', async () => {
  const [drawn, stranger] = await addChargers(fleet, 2);
  if (!drawn || !stranger) throw new Error('two chargers');
  const id = await startRollout(fleet, [drawn]);
  fleet.clock.pass(2);
  const warned: object[] = [];
  fleet.deps.log = { warn: (fields) => void warned.push(fields) };
  for (const one of [drawn, stranger]) {
    const events = [event('fault', 20), event('fault', 40, 'Fire', 0)];
    await checkIn(fleet, one, { ...onNew, reports: [report(fleet, 1, { sha256: NEW, events })] });
  }
  expect(await sums('fault')).toEqual({ treated: [0, 0], control: [0, 0] });
  expect(await fleet.db.selectFrom('hard_events').selectAll().execute()).toEqual([]);
  expect(warned).toEqual([drawn, stranger].map(({ serial }) => ({ rollout: id, serial })));
});

test('a number at the end of all numbers is not taken, and takes no later report away', async () => {
  const one = await addCharger(fleet, 'SN-1');
  expect(
    (await checkIn(fleet, one, { reports: [report(fleet, Number.MAX_SAFE_INTEGER)] })).acknowledged,
  ).toBe(0);
  // As far as a leap goes, a charger can count on from it.
  expect((await checkIn(fleet, one, { reports: [report(fleet, 2 ** 32)] })).acknowledged).toBe(2 ** 32);
  fleet.clock.pass(1);
  const on = [report(fleet, 2 ** 32 + 1), report(fleet, 2 ** 40)];
  expect((await checkIn(fleet, one, { reports: on })).acknowledged).toBe(2 ** 32 + 1);
  expect((await charger('SN-1')).baseline.offline).toEqual([0, 2]);
});

test('a new certificate begins a new count of reports, and none that was told counts twice', async () => {
  const one = await addCharger(fleet, 'SN-1');
  const faults = [event('fault', 110), event('fault', 70)];
  const before = [report(fleet, 10, {}, 2), report(fleet, 11, { events: faults }, 1)];
  expect((await checkIn(fleet, one, { reports: before })).acknowledged).toBe(11);
  const again = await enrolAgain(one);
  // It kept its numbers, and did not hear that 11 was taken.
  const kept = [before[1] ?? report(fleet, 0), report(fleet, 12)];
  expect((await checkIn(fleet, again, { reports: kept })).acknowledged).toBe(12);
  expect((await charger('SN-1')).baseline).toMatchObject({ offline: [0, 3], fault: [2, 6] });
  fleet.clock.pass(1);
  // Another board counts from 1.
  const board = await enrolAgain(again);
  expect((await checkIn(fleet, board, { reports: [report(fleet, 1)] })).acknowledged).toBe(1);
  expect((await charger('SN-1')).baseline.offline).toEqual([0, 4]);
  const events = [event('fault', 5)];
  await checkIn(fleet, board, { reports: [report(fleet, 2, { exposure: {}, events })] });
  expect((await charger('SN-1')).baseline.fault).toEqual([3, 8]);
});

test('whatever is sent in whatever order and however often, each report counts once', async () => {
  const one = await addCharger(fleet, 'SN-1');
  let sent = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ length: fc.integer({ min: 1, max: 4 }), again: fc.boolean() }), { maxLength: 5 }),
      async (rounds) => {
        for (const { length, again } of rounds) {
          fleet.clock.pass(length);
          const reports = Array.from({ length }, (_, i) =>
            report(fleet, sent + 1 + i, {}, length - 1 - i),
          ).reverse();
          sent += length;
          await Promise.all(Array.from({ length: again ? 3 : 1 }, () => checkIn(fleet, one, { reports })));
        }
        expect((await charger('SN-1')).baseline.offline?.[1] ?? 0).toBe(sent);
      },
    ),
    { numRuns: 8, seed: 11 },
  );
});

test('silence is one offline episode, and the same episode is not counted again when its charger tells of it', async () => {
  const [one, booting] = await addChargers(fleet, 2);
  if (!one || !booting) throw new Error('two chargers');
  await startRollout(fleet, [booting]);
  await treat(booting);
  await checkIn(fleet, one);
  fleet.clock.pass(2);
  const options = { organisation: ORG, upSince: fleet.clock.now() - 24 * HOUR };
  const young = { ...options, upSince: fleet.clock.now() - HOUR / 2 };
  expect(await markSilent(fleet.db, fleet.clock.now(), young)).toMatchObject({ silent: 0 });
  expect(await markSilent(fleet.db, fleet.clock.now(), options)).toMatchObject({ silent: 2 });
  expect(await markSilent(fleet.db, fleet.clock.now(), options)).toMatchObject({ silent: 0 });
  expect(await sums('offline')).toMatchObject({ treated: [0, 0], control: [1, 0] });
  await checkIn(fleet, one, { reports: [report(fleet, 1, { events: [event('offline', 50)] })] });
  expect((await sums('offline')).control).toEqual([1, 1]);
  expect(await charger(one.serial)).toMatchObject({ online: true });
});
