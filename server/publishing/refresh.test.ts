/** The online roles never expire silently: refreshed by schedule, found by the sweep, and told of when they cannot be signed. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SILENT_LOG } from '@tidegate/rollout/shell';
import { generateKey, type Signer } from '@tidegate/signer/keys';
import { metadataKey } from '@tidegate/signer/repository';
import { testDatabase } from '../../test/support/postgres.ts';
import type { Row } from '../db/index.ts';
import { Desk } from './desk.fixture.ts';
import { refreshOnline, Refresher } from './index.ts';

const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;
let desk: Desk;

beforeEach(async () => {
  desk = await Desk.open((await testDatabase()).db);
  await desk.bootstrap();
});
afterEach(() => desk.close());

const row = (): Promise<Row<'repository'>> =>
  desk.deps.db.selectFrom('repository').selectAll().executeTakeFirstOrThrow();
const draws = (...jitter: number[]) => ({ ...desk.deps, random: () => jitter.shift() ?? 0 });
const logged: object[] = [];
const log = { ...SILENT_LOG, error: (fields: object) => void logged.push(fields) };

describe('by schedule', () => {
  test('when it is next due is drawn once and recorded, so that a restart neither signs nor draws again', async () => {
    desk.clock.time += DAY / 2;
    await refreshOnline(draws(0.8));
    const { timestamp_due_at, timestamp_version } = await row();
    expect(timestamp_due_at?.getTime()).toBe(desk.clock.time + DAY * (1 - 1 / 2 - 0.8 / 8));
    for (let restart = 0; restart < 3; restart++) {
      expect(await refreshOnline({ ...desk.deps, random: () => 1 })).toBe(false);
    }
    expect(await row()).toMatchObject({ timestamp_due_at, timestamp_version });
    desk.clock.time = (timestamp_due_at?.getTime() ?? 0) - 1;
    expect(await refreshOnline(desk.deps)).toBe(false);
    desk.clock.time += 1;
    expect(await refreshOnline(desk.deps)).toBe(true);
  });

  test('a publication draws too', async () => {
    const deps = draws(0.5, 0.25);
    desk.deps = deps;
    await desk.release(await desk.buildRelease('1.0.0'));
    const { snapshot_due_at, timestamp_due_at } = await row();
    expect(snapshot_due_at?.getTime()).toBe(desk.clock.time + 7 * DAY * (1 / 2 - 0.5 / 8));
    expect(timestamp_due_at?.getTime()).toBe(desk.clock.time + DAY * (1 / 2 - 0.25 / 8));
  });

  test('of several replicas exactly one signs', async () => {
    desk.clock.time += 4 * DAY;
    const all = await Promise.all([1, 2, 3, 4].map(() => refreshOnline({ ...desk.deps })));
    expect(all.filter(Boolean)).toHaveLength(1);
  });
});

describe('the sweep finds what is overdue', () => {
  test.each([
    ['after a pause of most of a life', 0.95 * DAY],
    ['after a pause of weeks', 30 * DAY],
  ])('%s', async (_name, pause) => {
    const refresher = new Refresher(desk.deps, SILENT_LOG);
    await refresher.run();
    desk.clock.time += pause;
    await refresher.run();
    expect((await row()).timestamp_expires_at.getTime()).toBe(desk.clock.time + DAY);
  });

  test('where the schedule was lost, or says a year from now', async () => {
    for (const due of [null, new Date(desk.clock.time + 365 * DAY)]) {
      await desk.deps.db
        .updateTable('repository')
        .set({ timestamp_due_at: due, snapshot_due_at: due })
        .execute();
      desk.clock.time += DAY / 2;
      expect(await refreshOnline(desk.deps)).toBe(true);
    }
  });

  test('after the clock was ahead and has been set back', async () => {
    desk.clock.time += 20 * DAY;
    await refreshOnline(desk.deps);
    const ahead = await row();
    desk.clock.time -= 20 * DAY;
    expect(await refreshOnline(desk.deps)).toBe(true);
    const after = await row();
    expect(after.timestamp_version).toBe(ahead.timestamp_version + 1);
    expect(after.timestamp_expires_at.getTime()).toBe(desk.clock.time + DAY);
  });
});

describe('what keeps it from signing', () => {
  const broken: Signer['sign'] = () => Promise.reject(new Error('the KMS does not answer'));

  test('is told, tried again with pauses that grow, and over when it works', async () => {
    const { timestamp } = desk.deps.keys;
    const failing: Signer = { ...timestamp, keyId: timestamp.keyId, sign: broken };
    const deps = { ...desk.deps, keys: { ...desk.deps.keys, timestamp: failing }, random: () => 1 };
    const refresher = new Refresher(deps, log);
    await refresher.run();
    expect(refresher.failure).toBeUndefined();
    desk.clock.time += DAY / 2;
    const since = desk.clock.time;
    const tried: number[] = [];
    // Once a minute, as the service does it.
    for (; desk.clock.time < since + HOUR; desk.clock.time += 60_000) {
      const before = refresher.failures;
      await refresher.run();
      if (refresher.failures > before) tried.push((desk.clock.time - since) / 60_000);
    }
    expect(tried).toEqual([0, 1, 3, 7, 15, 30, 45]);
    expect(refresher.failure).toMatchObject({ since, attempts: 7, detail: 'the KMS does not answer' });
    expect(logged).toHaveLength(7);
    const mended = new Refresher(desk.deps, SILENT_LOG);
    await mended.run();
    // Another replica did it: nothing is left to do, and the failure is over here too.
    await refresher.run();
    expect(refresher.failure).toBeUndefined();
  });

  test.each(['snapshot', 'timestamp'] as const)(
    'a %s key that the root does not name is told at once, not when the last good signature ends',
    async (role) => {
      const before = await row();
      const keys = { ...desk.deps.keys, [role]: generateKey('ed25519') };
      const refresher = new Refresher({ ...desk.deps, keys }, SILENT_LOG);
      await refresher.run();
      expect(refresher.failure?.detail).toContain(`does not name this service's ${role} key`);
      expect(await row()).toEqual(before);
    },
  );

  test('a store that is down is no less told, though the database has the signature', async () => {
    desk.clock.time += DAY / 2;
    let up = false;
    const blobs = {
      ...desk.deps.blobs,
      put: (...args: Parameters<typeof desk.deps.blobs.put>) =>
        up ? desk.deps.blobs.put(...args) : Promise.reject(new Error('the store is down')),
    };
    const refresher = new Refresher({ ...desk.deps, blobs }, SILENT_LOG);
    await refresher.run();
    expect(refresher.failure).toMatchObject({ detail: 'the store is down' });
    desk.clock.time += 5 * 60_000;
    up = true;
    await refresher.run();
    expect(refresher.failure).toBeUndefined();
    expect(await refreshOnline(desk.deps)).toBe(false);
  });
});

test('a snapshot that was cut off has taken its version: the next one is signed', async () => {
  const { blobs, db } = desk.deps;
  desk.clock.time += 5 * 24 * 60 * 60 * 1000;
  const version = Math.floor(desk.clock.time / 1000);
  await blobs.put(metadataKey('snapshot', version), Buffer.from('left'));
  expect(await refreshOnline(desk.deps)).toBe(true);
  const row = await db.selectFrom('repository').select('snapshot_version').executeTakeFirstOrThrow();
  expect(row).toEqual({ snapshot_version: version + 1 });
});
