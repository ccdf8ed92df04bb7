import { createPublicKey, verify } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { DIRECTIVE_PAYLOAD_TYPE, preAuthEncoding } from '@tidegate/client-sdk/protocol';
import { memoryDoorbell, NOTHING_EXPIRES, SILENT_LOG, work } from '@tidegate/rollout/shell';
import { confirmActivation } from './confirm.ts';
import { DEVICE_DEFAULTS } from './deps.ts';
import {
  type Fleet,
  HARDWARE,
  NEW,
  OLD,
  ORG,
  PRODUCT,
  act,
  addCharger,
  addChargers,
  checkIn,
  confirm,
  countersAreTrue,
  forget,
  makeFleet,
  newNonce,
  seed,
  startRollout,
  stateOf,
} from './testing/fleet.ts';

const onNew = { running: { sha256: NEW, version: '1.1.0', securityVersion: 1 } };
const progress = (
  assignment: string,
  progress: 'STAGED' | 'VERIFYING' | 'HEALTHY' | 'FAILED' | 'DOWNLOADING',
) => ({
  assignment: { assignment, progress },
});
let fleet: Fleet;

beforeAll(async () => {
  fleet = await makeFleet();
});
afterEach(async () => {
  expect(await countersAreTrue(fleet.db)).toBe(true);
  expect(fleet.service.errors).toEqual([]);
  await forget(fleet);
});
afterAll(() => fleet.close());

test('an idle poll is answered with a signed directive, the timestamp and the root version', async () => {
  const charger = await addCharger(fleet, 'SN-1');
  const first = await checkIn(fleet, charger);
  expect(first).toMatchObject({ timestamp: '{"signed":{"version":7}}', rootVersion: 2, pollAfter: 900 });
  expect(first.said).toMatchObject({ organisation: ORG, serial: 'SN-1', epoch: 3, action: 'none' });
  const { payload, payloadType, signatures } = first.directive;
  const bytes = preAuthEncoding(payloadType, Buffer.from(payload, 'base64'));
  const signature = Buffer.from(signatures[0]?.sig ?? '', 'base64');
  expect(payloadType).toBe(DIRECTIVE_PAYLOAD_TYPE);
  expect(signatures[0]?.keyid).toBe(fleet.deps.director.keyId);
  expect(verify(null, bytes, createPublicKey(fleet.deps.director.publicKey), signature)).toBe(true);
  const second = await checkIn(fleet, charger);
  expect(second.said.sequence).toBeGreaterThan(first.said.sequence);
  expect(Date.parse(first.said.expires) - Date.parse(first.said.issuedAt)).toBeLessThanOrEqual(86_400_000);
});

test('who claims health must run the image: neither way counts on a word alone', async () => {
  const charger = await addCharger(fleet, 'SN-1');
  const rollout = await startRollout(fleet, [charger]);
  const id = (await checkIn(fleet, charger)).said.assignment ?? '';
  await confirm(fleet, charger, id);
  await checkIn(fleet, charger, progress(id, 'HEALTHY'));
  expect(await stateOf(fleet, rollout, 'SN-1')).toBe('VERIFYING');
  await checkIn(fleet, charger, { ...onNew, ...progress(id, 'HEALTHY') });
  expect(await stateOf(fleet, rollout, 'SN-1')).toBe('HEALTHY');
});

test('the way forward: offered, confirmed, booted, healthy', async () => {
  const charger = await addCharger(fleet, 'SN-1');
  const rollout = await startRollout(fleet, [charger]);
  const offer = await checkIn(fleet, charger);
  expect(offer.said).toMatchObject({
    action: 'install',
    purpose: 'rollout',
    target: { sha256: NEW, length: 1000 },
  });
  expect(offer.pollAfter).toBe(120);
  const id = offer.said.assignment ?? '';
  const again = await checkIn(fleet, charger, progress(id, 'STAGED'));
  expect(again.said).toMatchObject({ action: 'install', assignment: id });
  expect(again.said.nonce).not.toBe(offer.said.nonce);
  expect(again.said.sequence).toBeGreaterThan(offer.said.sequence);
  const activation = await confirm(fleet, charger, id);
  expect(activation).toMatchObject({ action: 'activate', assignment: id });
  // Live: it is no use to who boots tomorrow.
  expect(Date.parse(activation.expires) - Date.parse(activation.issuedAt)).toBe(
    DEVICE_DEFAULTS.activateSeconds * 1000,
  );
  expect(await stateOf(fleet, rollout, 'SN-1')).toBe('VERIFYING');
  // The answer was lost: asking again is harmless.
  expect(await confirm(fleet, charger, id)).toMatchObject({ action: 'activate' });
  await checkIn(fleet, charger, { ...onNew, ...progress(id, 'HEALTHY') });
  expect(await stateOf(fleet, rollout, 'SN-1')).toBe('HEALTHY');
  expect((await checkIn(fleet, charger, { ...onNew, ...progress(id, 'HEALTHY') })).said.action).toBe('none');
  expect(fleet.rings).toContain(rollout);
});

test('a charger that runs the release counts as treated, whatever it says', async () => {
  const charger = await addCharger(fleet, 'SN-1');
  const rollout = await startRollout(fleet, [charger]);
  await checkIn(fleet, charger, onNew);
  expect(await stateOf(fleet, rollout, 'SN-1')).toBe('VERIFYING');
});

test('a halt closes offers and confirmations at once, and sends back what booted', async () => {
  const [staged, booted, waiting] = await addChargers(fleet, 3);
  if (!staged || !booted || !waiting) throw new Error('three chargers');
  const rollout = await startRollout(fleet, [staged, booted, waiting]);
  const stagedId = (await checkIn(fleet, staged)).said.assignment ?? '';
  const bootedId = (await checkIn(fleet, booted)).said.assignment ?? '';
  await confirm(fleet, booted, bootedId);
  await act(fleet, rollout, 'halt');
  expect((await checkIn(fleet, waiting)).said.action).toBe('none');
  expect(await confirm(fleet, staged, stagedId)).toMatchObject({ action: 'withdraw', assignment: stagedId });
  expect((await checkIn(fleet, staged, progress(stagedId, 'STAGED'))).said).toMatchObject({
    action: 'withdraw',
    assignment: stagedId,
  });
  await act(fleet, rollout, 'rollback');
  const back = await checkIn(fleet, booted, onNew);
  expect(back.said).toMatchObject({
    action: 'install',
    purpose: 'rollback',
    assignment: `${bootedId}.back`,
    target: { sha256: OLD },
  });
  expect(await confirm(fleet, booted, `${bootedId}.back`, OLD)).toMatchObject({ action: 'activate' });
  expect(await confirm(fleet, booted, `${bootedId}.back`, NEW)).toMatchObject({ action: 'withdraw' });
  // It says that it went back, and runs the bad one still.
  await checkIn(fleet, booted, { ...onNew, ...progress(`${bootedId}.back`, 'HEALTHY') });
  expect(await stateOf(fleet, rollout, booted.serial)).toBe('ROLLING_BACK');
  await checkIn(fleet, booted, progress(`${bootedId}.back`, 'HEALTHY'));
  expect(await stateOf(fleet, rollout, booted.serial)).toBe('ROLLED_BACK');
});

test('once a halt has committed, nothing that was answered afterwards installs or activates', async () => {
  const chargers = await addChargers(fleet, 16, 'berlin');
  const rollout = await startRollout(fleet, chargers, { perSite: 100, inFlight: 100 });
  const ids = await Promise.all(
    chargers.slice(0, 8).map(async (c) => (await checkIn(fleet, c)).said.assignment ?? ''),
  );
  let halted = false;
  const after: string[] = [];
  const note = async (action: () => Promise<{ action: string }>) => {
    const begun = halted;
    const said = await action();
    if (begun) after.push(said.action);
  };
  const halting = act(fleet, rollout, 'halt').then(() => {
    halted = true;
  });
  for (let round = 0; round < 4; round++) {
    await Promise.all(
      chargers.map((charger, i) =>
        note(async () =>
          i < 8 ? confirm(fleet, charger, ids[i] ?? '') : (await checkIn(fleet, charger)).said,
        ),
      ),
    );
  }
  await halting;
  await Promise.all(chargers.map((charger) => note(async () => (await checkIn(fleet, charger)).said)));
  expect(after.length).toBeGreaterThanOrEqual(16);
  expect(new Set(after)).not.toContain('activate');
  expect(new Set(after)).not.toContain('install');
});

test('a confirmation waits for a halt that is being committed', async () => {
  const [one, two] = await addChargers(fleet, 2);
  if (!one || !two) throw new Error('two chargers');
  const rollout = await startRollout(fleet, [one, two]);
  const id = (await checkIn(fleet, one)).said.assignment ?? '';
  const answers = await fleet.db.transaction().execute(async (trx) => {
    const found = await fleet.store.load({ organisation: ORG, id: rollout });
    const state = JSON.stringify({ ...found?.rollout, status: 'HALTED' });
    await trx.updateTable('rollouts').set({ state, status: 'HALTED' }).where('id', '=', rollout).execute();
    const asked = [confirm(fleet, one, id), checkIn(fleet, two).then(({ said }) => said)];
    await waitingForLocks(2);
    return asked;
  });
  expect((await Promise.all(answers)).map(({ action }) => action)).toEqual(['withdraw', 'none']);
});

test('the limit of a site and of the rollout holds under check-ins at the same moment', async () => {
  const other = await makeRival(fleet);
  const berlin = await addChargers(fleet, 12, 'berlin');
  const paris = await addChargers(fleet, 12, 'paris');
  const all = [...berlin, ...paris];
  const rollout = await startRollout(fleet, all, { perSite: 3, inFlight: 5 });
  // Two services on one database, as two replicas are.
  const said = await Promise.all(all.map((charger, i) => checkIn(i % 2 === 0 ? fleet : other, charger)));
  await other.close();
  const offered = said
    .filter((answer) => answer.said.action === 'install')
    .map((answer) => answer.said.serial);
  expect(offered).toHaveLength(5);
  for (const site of ['berlin', 'paris']) {
    expect(offered.filter((serial) => serial.startsWith(site)).length).toBeLessThanOrEqual(3);
  }
  expect(said.every((answer) => answer.pollAfter === 120)).toBe(true);
  // One is done: its place is free again.
  const done = all.find(({ serial }) => serial === offered[0]);
  if (done === undefined) throw new Error('nobody was offered anything');
  const id = said.find((answer) => answer.said.serial === done.serial)?.said.assignment ?? '';
  await checkIn(fleet, done, { ...onNew, ...progress(id, 'HEALTHY') });
  const next = await Promise.all(
    all.map((charger) => checkIn(fleet, charger, charger === done ? onNew : {})),
  );
  expect(next.filter((answer) => answer.said.action === 'install')).toHaveLength(5);
  expect(await stateOf(fleet, rollout, done.serial)).toBe('HEALTHY');
});

test('the way back keeps the limit too, and a charger that was given up asks for room again', async () => {
  const chargers = await addChargers(fleet, 4);
  const rollout = await startRollout(fleet, chargers, { perSite: 4, inFlight: 100 });
  for (const charger of chargers) {
    await confirm(fleet, charger, (await checkIn(fleet, charger)).said.assignment ?? '');
  }
  await fleet.db
    .updateTable('rollouts')
    .set({ state: await limited(fleet, rollout, 1) })
    .execute();
  await act(fleet, rollout, 'halt');
  await act(fleet, rollout, 'rollback');
  const back = await Promise.all(chargers.map((charger) => checkIn(fleet, charger, onNew)));
  expect(back.filter(({ said }) => said.action === 'install')).toHaveLength(1);
  const first = back.find(({ said }) => said.action === 'install')?.said;
  const held = chargers.find(({ serial }) => serial !== first?.serial);
  if (held === undefined || first === undefined) throw new Error('nobody was sent back');
  const row = await fleet.db
    .selectFrom('assignments')
    .select('id')
    .where('serial', '=', held.serial)
    .executeTakeFirst();
  await expect(confirm(fleet, held, `${row?.id}.back`, OLD)).rejects.toThrow('ACTIVATION_HELD');
  fleet.clock.pass(100);
  await fleet.store.expire({ organisation: ORG, id: rollout }, fleet.clock.now());
  const again = await Promise.all(chargers.map((charger) => checkIn(fleet, charger, onNew)));
  expect(again.filter(({ said }) => said.action === 'install')).toHaveLength(1);
});

test('a given-up charger gets no place that another holds', async () => {
  const [late, other] = await addChargers(fleet, 2);
  if (!late || !other) throw new Error('two chargers');
  const rollout = await startRollout(fleet, [late, other], { perSite: 1, inFlight: 1 });
  const id = (await checkIn(fleet, late)).said.assignment ?? '';
  fleet.clock.pass(100);
  await fleet.store.expire({ organisation: ORG, id: rollout }, fleet.clock.now());
  expect((await checkIn(fleet, other)).said.action).toBe('install');
  expect((await checkIn(fleet, late, progress(id, 'STAGED'))).said.action).toBe('none');
  await expect(confirm(fleet, late, id)).rejects.toThrow('ACTIVATION_HELD');
  expect(await stateOf(fleet, rollout, late.serial)).toBe('LOST');
});

test('a paused rollout offers nothing new and activates nothing; a yanked release is withdrawn', async () => {
  const [one, two] = await addChargers(fleet, 2);
  if (!one || !two) throw new Error('two chargers');
  const rollout = await startRollout(fleet, [one, two]);
  const id = (await checkIn(fleet, one)).said.assignment ?? '';
  await act(fleet, rollout, 'pause');
  expect((await checkIn(fleet, two)).said.action).toBe('none');
  expect((await checkIn(fleet, one)).said.action).toBe('install');
  await expect(confirm(fleet, one, id)).rejects.toThrow('ACTIVATION_HELD');
  await act(fleet, rollout, 'resume');
  await fleet.db.updateTable('releases').set({ yanked_at: new Date() }).where('sha256', '=', NEW).execute();
  expect((await checkIn(fleet, two)).said.action).toBe('none');
  expect((await checkIn(fleet, one)).said.action).toBe('withdraw');
  expect(await confirm(fleet, one, id)).toMatchObject({ action: 'withdraw', reason: 'yanked' });
});

test('while paused, what is offered is staged and what booted proves itself; nothing else happens', async () => {
  const [staging, booted, waiting] = await addChargers(fleet, 3);
  if (!staging || !booted || !waiting) throw new Error('three chargers');
  const rollout = await startRollout(fleet, [staging, booted, waiting]);
  const stagingId = (await checkIn(fleet, staging)).said.assignment ?? '';
  const bootedId = (await checkIn(fleet, booted)).said.assignment ?? '';
  await confirm(fleet, booted, bootedId);
  await act(fleet, rollout, 'pause');
  expect((await checkIn(fleet, staging, progress(stagingId, 'DOWNLOADING'))).said.action).toBe('install');
  expect((await checkIn(fleet, staging, progress(stagingId, 'STAGED'))).said.action).toBe('install');
  await expect(confirm(fleet, staging, stagingId)).rejects.toThrow('ACTIVATION_HELD');
  await checkIn(fleet, booted, { ...onNew, ...progress(bootedId, 'HEALTHY') });
  await checkIn(fleet, waiting);
  const states = await Promise.all(
    [staging, booted, waiting].map(({ serial }) => stateOf(fleet, rollout, serial)),
  );
  expect(states).toEqual(['STAGED', 'HEALTHY', 'PENDING']);
});

test('stragglers of a rollback that is over are sent back too: the silent, and who was taken for failed', async () => {
  const [silent, failed] = await addChargers(fleet, 2);
  if (!silent || !failed) throw new Error('two chargers');
  const rollout = await startRollout(fleet, [silent, failed]);
  await confirm(fleet, silent, (await checkIn(fleet, silent)).said.assignment ?? '');
  const failedId = (await checkIn(fleet, failed)).said.assignment ?? '';
  await checkIn(fleet, failed, progress(failedId, 'FAILED'));
  await act(fleet, rollout, 'rollback');
  const look = async () => {
    const doorbell = memoryDoorbell(SILENT_LOG);
    await work(
      { organisation: ORG, id: rollout },
      { store: fleet.store, doorbell, clock: fleet.clock, lifetimes: NOTHING_EXPIRES, log: SILENT_LOG },
    );
    return (await fleet.store.load({ organisation: ORG, id: rollout }))?.rollout;
  };
  await look();
  fleet.clock.pass(100);
  expect(await look()).toMatchObject({ status: 'ROLLED_BACK', unreturned: 1 });

  // The silent one has its way back already.
  const offer = (await checkIn(fleet, silent, onNew)).said;
  expect(offer).toMatchObject({ action: 'install', purpose: 'rollback', target: { sha256: OLD } });
  // The other one is found to run the release; the worker that the doorbell wakes chooses its way back.
  expect((await checkIn(fleet, failed, onNew)).said.action).toBe('none');
  expect(await stateOf(fleet, rollout, failed.serial)).toBe('HEALTHY');
  expect(await look()).toMatchObject({ status: 'ROLLED_BACK' });
  const other = (await checkIn(fleet, failed, onNew)).said;
  expect(other).toMatchObject({ action: 'install', purpose: 'rollback', assignment: `${failedId}.back` });
  for (const [charger, said] of [
    [silent, offer],
    [failed, other],
  ] as const) {
    const back = said.assignment ?? '';
    expect(await confirm(fleet, charger, back, OLD)).toMatchObject({ action: 'activate' });
    await checkIn(fleet, charger, progress(back, 'HEALTHY'));
    expect(await stateOf(fleet, rollout, charger.serial)).toBe('ROLLED_BACK');
  }
  expect(await look()).toMatchObject({ status: 'ROLLED_BACK', unreturned: 0 });
});

test('a charger with an active session gets no activation', async () => {
  const charger = await addCharger(fleet, 'SN-1');
  await startRollout(fleet, [charger]);
  const id = (await checkIn(fleet, charger, { charging: true })).said.assignment ?? '';
  await expect(confirm(fleet, charger, id)).rejects.toThrow('ACTIVATION_HELD');
  await checkIn(fleet, charger, { charging: false });
  expect(await confirm(fleet, charger, id)).toMatchObject({ action: 'activate' });
});

test('a service that is behind what a charger has seen serves it nothing', async () => {
  const charger = await addCharger(fleet, 'SN-1');
  await startRollout(fleet, [charger]);
  const ahead = checkIn(fleet, charger, { marks: { root: 2, timestamp: 8 } });
  await expect(ahead).rejects.toThrow('REPOSITORY_BEHIND');
  expect((await checkIn(fleet, charger, { marks: { root: 2, timestamp: 7 } })).said.action).toBe('install');
});

test("another charger's assignment and another tenant's charger are not there", async () => {
  const [one, two] = await addChargers(fleet, 2);
  if (!one || !two) throw new Error('two chargers');
  const rollout = await startRollout(fleet, [one]);
  const id = (await checkIn(fleet, one)).said.assignment ?? '';
  await expect(confirm(fleet, two, id)).rejects.toThrow('ASSIGNMENT_UNKNOWN');
  await checkIn(fleet, two, progress(id, 'FAILED'));
  expect(await stateOf(fleet, rollout, one.serial)).toBe('OFFERED');
  await seed(fleet.db, 'other', 'k');
  const stranger = await addCharger(fleet, one.serial, 'berlin', 'other');
  await expect(checkIn(fleet, stranger)).rejects.toThrow('CHARGER_UNKNOWN');
  await expect(confirm(fleet, stranger, id)).rejects.toThrow('CHARGER_UNKNOWN');
});

test('a certificate that another has replaced since it was looked at activates nothing', async () => {
  const charger = await addCharger(fleet, 'SN-1');
  await startRollout(fleet, [charger]);
  const assignment = (await checkIn(fleet, charger)).said.assignment ?? '';
  const place = { product: PRODUCT, hardware: HARDWARE, site: 'berlin' };
  const former = { organisation: ORG, serial: 'SN-1', certificateSha256: 'f'.repeat(64), ...place };
  const body = { nonce: newNonce(), assignment, sha256: NEW };
  await expect(confirmActivation(fleet.deps, former, body)).rejects.toThrow('CHARGER_RETIRED');
});

/** Until so many of the database's sessions wait for a lock. */
async function waitingForLocks(count: number): Promise<void> {
  for (let waiting = 0; waiting < count;) {
    const { rows } = await sql<{ n: number }>`select count(*) as n from pg_stat_activity
      where wait_event_type = 'Lock' and datname = current_database()`.execute(fleet.db);
    waiting = rows[0]?.n ?? 0;
  }
}

async function limited(fleet: Fleet, rollout: string, perSite: number): Promise<string> {
  const found = await fleet.store.load({ organisation: ORG, id: rollout });
  if (found === undefined) throw new Error(rollout);
  const { plan } = found.rollout;
  return JSON.stringify({ ...found.rollout, plan: { ...plan, limits: { ...plan.limits, perSite } } });
}

async function makeRival({ deps }: Fleet): Promise<Fleet> {
  const { serve } = await import('./testing/service.ts');
  const { deviceRouter } = await import('./index.ts');
  const service = await serve(deviceRouter(deps), deps.authority);
  return { ...fleet, service, close: () => service.close() };
}
