import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { memoryDoorbell, NOTHING_EXPIRES, SILENT_LOG, work } from '@tidegate/rollout/shell';
import {
  type Fleet,
  NEW,
  OLD,
  ORG,
  type TestCharger,
  act,
  addCharger,
  addChargers,
  arrange,
  checkIn,
  confirm,
  countersAreTrue,
  forget,
  makeFleet,
  startRollout,
  stateOf,
} from './testing/fleet.ts';

const onNew = { running: { sha256: NEW, version: '1.1.0', securityVersion: 1 } };
const says = (assignment: string, progress: 'STAGED' | 'HEALTHY' | 'FAILED') => ({
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

const actionOf = async (charger: TestCharger, change = {}): Promise<string> =>
  (await checkIn(fleet, charger, change)).said.action;
const look = async (id: string) => {
  const doorbell = memoryDoorbell(SILENT_LOG);
  await work(
    { organisation: ORG, id },
    { store: fleet.store, doorbell, clock: fleet.clock, lifetimes: NOTHING_EXPIRES, log: SILENT_LOG },
  );
  return (await fleet.store.load({ organisation: ORG, id }))?.rollout;
};
async function fleetOf(count: number): Promise<[TestCharger, ...TestCharger[]]> {
  const [first, ...others] = await addChargers(fleet, count);
  if (first === undefined) throw new Error('a charger');
  return [first, ...others];
}

test('who was offline during its wave is caught up once the wave has passed, under the same limits', async () => {
  const [one, two] = await fleetOf(2);
  if (two === undefined) throw new Error('two chargers');
  const rollout = await startRollout(fleet, [one, two], { perSite: 1, inFlight: 10 });
  await arrange(fleet, rollout, {}, 'GATE');
  expect(await actionOf(one)).toBe('none');
  await arrange(fleet, rollout, { current: 1 }, 'PASSED');
  const offer = await checkIn(fleet, one);
  expect(offer.said).toMatchObject({ action: 'install', purpose: 'rollout', target: { sha256: NEW } });
  expect(await checkIn(fleet, two)).toMatchObject({ said: { action: 'none' }, pollAfter: 120 });
  const id = offer.said.assignment ?? '';
  expect(await confirm(fleet, one, id)).toMatchObject({ action: 'activate' });
  await checkIn(fleet, one, { ...onNew, ...says(id, 'HEALTHY') });
  expect(await stateOf(fleet, rollout, one.serial)).toBe('HEALTHY');
  expect(await actionOf(two)).toBe('install');
});

test('a failed step, a pause and a halt catch nobody up', async () => {
  const [charger] = await fleetOf(1);
  const rollout = await startRollout(fleet, [charger]);
  await arrange(fleet, rollout, { current: 1 }, 'FAILED');
  expect(await actionOf(charger)).toBe('none');
  await arrange(fleet, rollout, { status: 'PAUSED' }, 'PASSED');
  expect(await actionOf(charger)).toBe('none');
  await arrange(fleet, rollout, { status: 'HALTED' });
  expect(await actionOf(charger)).toBe('none');
});

test('a completed rollout catches up for as long as it is watched, and no longer', async () => {
  const [one, two] = await fleetOf(2);
  if (two === undefined) throw new Error('two chargers');
  const rollout = await startRollout(fleet, [one, two]);
  await arrange(fleet, rollout, { status: 'COMPLETED', statusSince: fleet.clock.now() }, 'PASSED');
  fleet.clock.pass(7 * 24 - 1);
  expect(await actionOf(one)).toBe('install');
  fleet.clock.pass(1);
  expect(await actionOf(two)).toBe('none');
  // What was offered goes on, and is given up at its deadline; nobody waits for it any more then.
  const id = (await checkIn(fleet, one)).said.assignment ?? '';
  fleet.clock.pass(72);
  await look(rollout);
  expect(await stateOf(fleet, rollout, one.serial)).toBe('LOST');
  expect(await actionOf(one, says(id, 'STAGED'))).toBe('withdraw');
});

test('one that was offered it, fell silent and comes back without a word is offered it again', async () => {
  const [charger] = await fleetOf(1);
  const rollout = await startRollout(fleet, [charger]);
  const first = (await checkIn(fleet, charger)).said.assignment;
  fleet.clock.pass(100);
  await fleet.store.expire({ organisation: ORG, id: rollout }, fleet.clock.now());
  expect(await stateOf(fleet, rollout, charger.serial)).toBe('LOST');
  expect((await checkIn(fleet, charger)).said).toMatchObject({ action: 'install', assignment: first });
});

test('who runs the release unasked holds a place while it may be on trial, and not for ever', async () => {
  const [byHand, other] = await fleetOf(2);
  if (other === undefined) throw new Error('two chargers');
  const rollout = await startRollout(fleet, [byHand, other], { perSite: 1, inFlight: 1 });
  await actionOf(byHand, onNew);
  expect(await stateOf(fleet, rollout, byHand.serial)).toBe('VERIFYING');
  expect(await actionOf(other)).toBe('none');
  fleet.clock.pass(72);
  await fleet.store.expire({ organisation: ORG, id: rollout }, fleet.clock.now());
  await actionOf(byHand, onNew);
  expect(await stateOf(fleet, rollout, byHand.serial)).toBe('HEALTHY');
  expect(await actionOf(other)).toBe('install');
});

test('a later rollout that has drawn it comes first: the earlier one lists it as superseded', async () => {
  const [charger] = await fleetOf(1);
  const earlier = await startRollout(fleet, [charger]);
  await arrange(fleet, earlier, { status: 'COMPLETED', statusSince: fleet.clock.now() }, 'PASSED');
  fleet.clock.pass(1);
  const later = await startRollout(fleet, [charger]);
  const id = (await checkIn(fleet, charger)).said.assignment ?? '';
  expect(await stateOf(fleet, later, charger.serial)).toBe('OFFERED');
  await checkIn(fleet, charger, says(id, 'FAILED'));
  // Even when the later one has failed on it.
  expect(await actionOf(charger)).toBe('none');
  expect(await stateOf(fleet, earlier, charger.serial)).toBe('SKIPPED');
});

test('after a rollback, a charger that never took part and comes to the release is found and sent back', async () => {
  const [member, stranger] = await fleetOf(2);
  if (stranger === undefined) throw new Error('two chargers');
  const rollout = await startRollout(fleet, [member]);
  await confirm(fleet, member, (await checkIn(fleet, member)).said.assignment ?? '');
  await actionOf(member, onNew);
  await actionOf(stranger);
  await act(fleet, rollout, 'rollback');
  const back = await sendBack(member, rollout);
  expect(await look(rollout)).toMatchObject({ status: 'ROLLED_BACK', unreturned: 0 });

  fleet.rings.length = 0;
  expect(await actionOf(stranger, onNew)).toBe('none');
  expect(await stateOf(fleet, rollout, stranger.serial)).toBe('HEALTHY');
  await expect.poll(() => fleet.rings).toContain(rollout);
  await sendBack(stranger, rollout);
  expect(await look(rollout)).toMatchObject({ status: 'ROLLED_BACK', unreturned: 0 });

  // And one that is back already and is put on it again, by a backup: it asks for its way back as if for the first time.
  const again = await checkIn(fleet, member, onNew);
  expect(again.said).toMatchObject({ action: 'install', purpose: 'rollback', assignment: back });
  expect(await stateOf(fleet, rollout, member.serial)).toBe('ROLLING_BACK');
  await sendBack(member, rollout);
});

test.each([
  { perSite: 1, inFlight: 10 },
  { perSite: 10, inFlight: 1 },
])('who is found on it waits for room on the way back, as everybody does: %o', async (limits) => {
  const [one, two] = await fleetOf(2);
  if (two === undefined) throw new Error('two chargers');
  const rollout = await startRollout(fleet, [one, two], limits);
  await act(fleet, rollout, 'halt');
  await act(fleet, rollout, 'rollback');
  await look(rollout);
  for (const charger of [one, two]) await actionOf(charger, onNew);
  await look(rollout);
  await sendBack(one, rollout);
  await sendBack(two, rollout);
  // Both again, at once: each held a place for its first way back, and holds none now.
  const said = [await actionOf(one, onNew), await actionOf(two, onNew)];
  expect(said).toEqual(['install', 'none']);
});

test('a charger that another rollout of the release brought there later, with approvals of its own, is left there', async () => {
  const [charger] = await fleetOf(1);
  const earlier = await startRollout(fleet, []);
  await arrange(fleet, earlier, { status: 'ROLLED_BACK' });
  fleet.clock.pass(1);
  const later = await startRollout(fleet, [charger]);
  await confirm(fleet, charger, (await checkIn(fleet, charger)).said.assignment ?? '');
  await actionOf(charger, onNew);
  expect(await stateOf(fleet, earlier, charger.serial)).toBeUndefined();
  expect(await stateOf(fleet, later, charger.serial)).toBe('VERIFYING');
});

test('while a rollback is under way, a stranger is found too', async () => {
  const [member] = await fleetOf(1);
  const rollout = await startRollout(fleet, [member]);
  await confirm(fleet, member, (await checkIn(fleet, member)).said.assignment ?? '');
  await actionOf(member, onNew);
  await act(fleet, rollout, 'rollback');
  expect(await look(rollout)).toMatchObject({ status: 'ROLLING_BACK' });
  const stranger = await addCharger(fleet, 'SN-stranger', 'paris');
  await actionOf(stranger, onNew);
  await look(rollout);
  expect(await stateOf(fleet, rollout, stranger.serial)).toBe('ROLLING_BACK');
});

/** All the way back, as the charger does it; @returns the name of the way. */
async function sendBack(charger: TestCharger, rollout: string): Promise<string> {
  await look(rollout);
  const { said } = await checkIn(fleet, charger, onNew);
  expect(said).toMatchObject({ action: 'install', purpose: 'rollback', target: { sha256: OLD } });
  const back = said.assignment ?? '';
  expect(await confirm(fleet, charger, back, OLD)).toMatchObject({ action: 'activate' });
  await checkIn(fleet, charger, says(back, 'HEALTHY'));
  expect(await stateOf(fleet, rollout, charger.serial)).toBe('ROLLED_BACK');
  return back;
}
