/** What is yanked or denied while a rollout runs stops at once: nothing is offered, nothing staged is activated, and nobody is sent back to it. */
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  act,
  addChargers,
  checkIn,
  confirm,
  countersAreTrue,
  type Fleet,
  forget,
  makeFleet,
  NEW,
  OLD,
  ORG,
  PRODUCT,
  startRollout,
  stateOf,
} from './testing/fleet.ts';

const onNew = { running: { sha256: NEW, version: '1.1.0', securityVersion: 1 } };
let fleet: Fleet;
let policy: string;

beforeAll(async () => {
  fleet = await makeFleet();
  const row = await fleet.db.selectFrom('repository').select('policy').executeTakeFirstOrThrow();
  policy = JSON.stringify(row.policy);
});
afterEach(async () => {
  expect(await countersAreTrue(fleet.db)).toBe(true);
  expect(fleet.service.errors).toEqual([]);
  await publishPolicy({});
  await forget(fleet);
});
afterAll(() => fleet.close());

async function publishPolicy(changes: {
  denied?: { digests: string[]; signers: string[] };
  products?: Record<string, { emergencyFloor: number; securityVersionCap: number }>;
}): Promise<void> {
  const changed = JSON.stringify({ ...(JSON.parse(policy) as object), ...changes });
  await fleet.db.updateTable('repository').set({ policy: changed }).where('organisation', '=', ORG).execute();
}

const yank = (sha256: string) =>
  fleet.db.updateTable('releases').set({ yanked_at: new Date() }).where('sha256', '=', sha256).execute();
const deny = (sha256: string) => publishPolicy({ denied: { digests: [sha256], signers: [] } });
/** Takes one release out of the limits, and not the other. */
async function limit(sha256: string, version: number, limits: [floor: number, cap: number]) {
  await sql`update releases set security_version = ${version} where sha256 = ${sha256}`.execute(fleet.db);
  const [emergencyFloor, securityVersionCap] = limits;
  await publishPolicy({ products: { [PRODUCT]: { emergencyFloor, securityVersionCap } } });
}

const refuse = (sha256: string) =>
  fleet.db.updateTable('releases').set({ refused: 'BUILDER_REVOKED' }).where('sha256', '=', sha256).execute();

const BARS: [string, (sha256: string) => Promise<unknown>][] = [
  ['yanked', yank],
  ['denied', deny],
  ['below the emergency floor', (sha256) => limit(sha256, 1, [2, 9])],
  ['refused: BUILDER_REVOKED', refuse],
  ['above the cap', (sha256) => limit(sha256, 10, [0, 9])],
];

describe.each(BARS)('a release that is %s', (because, bar) => {
  afterEach(() => sql`update releases set security_version = 1`.execute(fleet.db));

  test('is offered to nobody, withdrawn from who holds it, and not activated', async () => {
    const [fresh, offered, staged] = await addChargers(fleet, 3);
    if (!fresh || !offered || !staged) throw new Error('three chargers');
    const rollout = await startRollout(fleet, [fresh, offered, staged]);
    await checkIn(fleet, offered);
    const id = (await checkIn(fleet, staged)).said.assignment ?? '';
    await checkIn(fleet, staged, { assignment: { assignment: id, progress: 'STAGED' } });
    await bar(NEW);
    expect((await checkIn(fleet, fresh)).said.action).toBe('none');
    expect((await checkIn(fleet, offered)).said).toMatchObject({ action: 'withdraw', reason: because });
    expect(await confirm(fleet, staged, id)).toMatchObject({ action: 'withdraw', reason: because });
    expect(await stateOf(fleet, rollout, fresh.serial)).toBe('PENDING');
  });

  test('is left for its fallback all the same', async () => {
    const [charger] = await addChargers(fleet, 1);
    if (!charger) throw new Error('a charger');
    const rollout = await startRollout(fleet, [charger]);
    const id = (await checkIn(fleet, charger)).said.assignment ?? '';
    await confirm(fleet, charger, id);
    await checkIn(fleet, charger, onNew);
    // The fallback is of version 5, between the limits.
    await sql`update releases set security_version = 5`.execute(fleet.db);
    await bar(NEW);
    await act(fleet, rollout, 'halt');
    await act(fleet, rollout, 'rollback');
    const { said } = await checkIn(fleet, charger, onNew);
    expect(said).toMatchObject({ action: 'install', purpose: 'rollback', target: { sha256: OLD } });
    expect(await confirm(fleet, charger, said.assignment ?? '', OLD)).toMatchObject({ action: 'activate' });
  });

  test('is nobody’s way back: who has none is listed', async () => {
    const [charger] = await addChargers(fleet, 1);
    if (!charger) throw new Error('a charger');
    const rollout = await startRollout(fleet, [charger]);
    await confirm(fleet, charger, (await checkIn(fleet, charger)).said.assignment ?? '');
    await checkIn(fleet, charger, onNew);
    await bar(OLD);
    await act(fleet, rollout, 'halt');
    await act(fleet, rollout, 'rollback');
    expect((await checkIn(fleet, charger, onNew)).said.action).not.toBe('install');
    const row = await fleet.db.selectFrom('assignments').select(['state', 'code']).executeTakeFirst();
    expect(row).toMatchObject({ code: 'NO_FALLBACK' });
  });

  test('is no way back any more once it was chosen', async () => {
    const [charger] = await addChargers(fleet, 1);
    if (!charger) throw new Error('a charger');
    const rollout = await startRollout(fleet, [charger]);
    await confirm(fleet, charger, (await checkIn(fleet, charger)).said.assignment ?? '');
    await checkIn(fleet, charger, onNew);
    await act(fleet, rollout, 'halt');
    await act(fleet, rollout, 'rollback');
    const back = (await checkIn(fleet, charger, onNew)).said;
    expect(back).toMatchObject({ action: 'install', purpose: 'rollback' });
    await bar(OLD);
    expect((await checkIn(fleet, charger, onNew)).said.action).toBe('none');
    expect(await confirm(fleet, charger, back.assignment ?? '', OLD)).toMatchObject({
      action: 'withdraw',
      reason: because,
    });
  });
});
