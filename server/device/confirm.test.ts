/** A confirmation is about one image of one assignment: what it says may be booted, no charger may take for another. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NEW, OLD, addCharger, checkIn, confirm, makeFleet, startRollout, stateOf } from './testing/fleet.ts';
import type { Fleet } from './testing/fleet.ts';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await makeFleet();
});
afterAll(() => fleet.close());

test('another image than the assignment is about is withdrawn, and the charger is not counted as treated', async () => {
  const charger = await addCharger(fleet, 'SN-1');
  const rollout = await startRollout(fleet, [charger]);
  const id = (await checkIn(fleet, charger)).said.assignment ?? '';
  const before = await stateOf(fleet, rollout, 'SN-1');
  for (const other of [OLD, 'a'.repeat(64)]) {
    const said = await confirm(fleet, charger, id, other);
    expect(said).toMatchObject({ action: 'withdraw', assignment: id });
    expect(said.target).toBeUndefined();
  }
  expect(await stateOf(fleet, rollout, 'SN-1')).toBe(before);
  expect(await confirm(fleet, charger, id, NEW)).toMatchObject({
    action: 'activate',
    assignment: id,
    target: { sha256: NEW },
  });
});
