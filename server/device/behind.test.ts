/** A service that was restored from a backup serves nothing until it is above what chargers report; one charger's word is its own. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { CheckIn } from '@tidegate/client-sdk/protocol';
import { metadataKey, targetKey } from '@tidegate/signer/repository';
import {
  accepted,
  addCharger,
  addChargers,
  checkIn,
  checkInBody,
  confirm,
  type Fleet,
  forget,
  makeFleet,
  ORG,
  PRODUCT,
  report,
  START,
  startRollout,
  type TestCharger,
} from './testing/fleet.ts';

const SHA256 = 'c'.repeat(64);
const METADATA = `/tuf/metadata/3.${PRODUCT}.json`;
const TARGET = `/tuf/targets/${PRODUCT}/${SHA256}.fw.bin`;
const PUBLISHED = { root_version: 2, targets_version: 4, roles: JSON.stringify({ [PRODUCT]: 3 }) };
const CURRENT = { root: 2, timestamp: 7, snapshot: 5, targets: 4, product: 3 };
let fleet: Fleet;
let chargers: TestCharger[];

beforeAll(async () => {
  fleet = await makeFleet();
  await fleet.deps.blobs.put(metadataKey(PRODUCT, 3), Buffer.from('{}'));
  await fleet.deps.blobs.put(targetKey(`${PRODUCT}/fw.bin`, SHA256), Buffer.from('image'));
});
afterAll(() => fleet.close());
beforeEach(async () => {
  chargers = [...(await addChargers(fleet, 2, 'berlin')), ...(await addChargers(fleet, 3, 'paris'))];
  await fleet.db.updateTable('repository').set(PUBLISHED).execute();
});
afterEach(() => forget(fleet));

const say = (
  charger: TestCharger | undefined,
  marks: Partial<CheckIn['marks']>,
  more: Partial<CheckIn> = {},
) => checkIn(fleet, charger!, { marks: { ...CURRENT, ...marks }, ...more });
const code = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'served',
    (error: Error) => error.message,
  );
const get = async (path: string) => {
  const client = chargers[4]?.client;
  return code(
    fleet.service.call('GET', path, { client }).then((answer) => answer.status === 200 || accepted(answer)),
  );
};
const told = () =>
  fleet.db
    .selectFrom('audit')
    .select(['actor', 'action', 'reason'])
    .where('action', '=', 'charger.ahead')
    .execute();

test.each([
  ['root', { root: 3 }],
  ['targets', { targets: 6 }],
  ['product', { product: 4 }],
  ['snapshot', { snapshot: START / 1000 }],
  ['timestamp', { timestamp: START / 1000 + 60 }],
])(
  '%s: the first two are served nothing, with the third nobody is, and above it everybody is again',
  async (_role, marks) => {
    const [one, two, three, four] = chargers;
    expect(await code(say(one, marks))).toBe('REPOSITORY_BEHIND');
    expect(await code(say(two, marks))).toBe('REPOSITORY_BEHIND');
    expect([await code(say(four, {})), await get(METADATA), await get(TARGET)]).toEqual(
      Array(3).fill('served'),
    );
    expect(await code(say(three, marks))).toBe('REPOSITORY_BEHIND');
    expect([await code(say(four, {})), await get(METADATA), await get(TARGET)]).toEqual(
      Array(3).fill('REPOSITORY_BEHIND'),
    );
    const answer = await fleet.service.call('POST', '/device/v1/check-in', {
      client: four?.client,
      body: checkInBody(),
    });
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '60']);
    await fleet.db
      .updateTable('repository')
      .set({
        root_version: 3,
        targets_version: 6,
        roles: JSON.stringify({ [PRODUCT]: 4 }),
        snapshot_version: START / 1000 + 61,
        timestamp_version: START / 1000 + 61,
      })
      .execute();
    expect([await code(say(one, marks)), await code(say(four, {})), await get(METADATA)]).toEqual(
      Array(3).fill('served'),
    );
    await fleet.db.updateTable('repository').set({ snapshot_version: 5, timestamp_version: 7 }).execute();
  },
);

test('what is staged is not activated meanwhile, and what is reported is neither acknowledged nor lost', async () => {
  const [one, two, three, four] = chargers;
  await startRollout(fleet, [four!]);
  const { said, acknowledged } = await say(four, {});
  expect(acknowledged).toBe(0);
  for (const each of [one, two, three]) await code(say(each, { targets: 5 }));
  await expect(confirm(fleet, four!, said.assignment ?? '')).rejects.toThrow('REPOSITORY_BEHIND');
  fleet.clock.pass(1);
  const reports = [report(fleet, 1)];
  expect(await code(say(four, {}, { reports }))).toBe('REPOSITORY_BEHIND');
  const heard = await fleet.db
    .selectFrom('chargers')
    .select(['last_seen_at', 'online', 'last_report'])
    .where('serial', '=', four!.serial)
    .executeTakeFirstOrThrow();
  expect(heard).toEqual({ last_seen_at: new Date(fleet.clock.now()), online: true, last_report: 0 });
  await fleet.db.updateTable('repository').set({ targets_version: 5 }).execute();
  expect((await say(four, {}, { reports })).acknowledged).toBe(1);
  expect(await confirm(fleet, four!, said.assignment ?? '')).toMatchObject({ action: 'activate' });
});

test('a stolen identity that claims what could be stops itself alone, and is told of once', async () => {
  const [thief, other] = chargers;
  const before = (await told()).length;
  for (let i = 0; i < 3; i++) {
    expect(await code(say(thief, { root: 3, targets: 900, product: 800 + i }))).toBe('REPOSITORY_BEHIND');
    expect(await code(say(other, {}))).toBe('served');
    expect(await code(say(thief, {}))).toBe('served');
  }
  const all = (await told()).slice(before);
  expect(all.map(({ actor }) => actor)).toEqual(Array(3).fill(thief?.serial));
  expect(all.map(({ reason }) => reason)).toContain('It trusts root 3; 2 is published.');
});

test('a mark that cannot be stops nobody, whoever says it, and its charger hears what is current', async () => {
  for (const charger of chargers) {
    const answer = await say(charger, { timestamp: 2 ** 52, product: 1_000_000 });
    expect(answer.said.action).toBe('none');
  }
  expect(await get(METADATA)).toBe('served');
});

test('who takes it back, or is retired, bears nothing out', async () => {
  const [one, two, three, four] = chargers;
  const all = async () => {
    for (const each of [one, two, three]) await code(say(each, { product: 4 }));
    return code(say(four, {}));
  };
  expect(await all()).toBe('REPOSITORY_BEHIND');
  await code(say(three, {}));
  expect(await code(say(four, {}))).toBe('served');
  expect(await all()).toBe('REPOSITORY_BEHIND');
  await fleet.db
    .updateTable('chargers')
    .set({ state: 'RETIRED' })
    .where('serial', '=', two!.serial)
    .execute();
  expect(await code(say(four, {}))).toBe('served');
});

test('firmware that reports two marks alone is served', async () => {
  expect(await code(checkIn(fleet, chargers[0]!, { marks: { root: 2, timestamp: 7 } }))).toBe('served');
});

test('the sequence of a directive is above what chargers of a restored service took last', async () => {
  const charger = await addCharger(fleet, 'SN-9');
  const before = (await say(charger, {})).said.sequence;
  // The row is from the backup.
  await fleet.db
    .updateTable('chargers')
    .set({ last_sequence: 0 })
    .where('organisation', '=', ORG)
    .where('serial', '=', charger.serial)
    .execute();
  fleet.clock.ms += 1000;
  expect((await say(charger, {})).said.sequence).toBeGreaterThan(before);
});
