/** What keeps the service from its work is told where people look: readiness, figures, log, alarms. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { memoryDoorbell, SILENT_LOG } from '@tidegate/rollout/shell';
import { testDatabase } from '../../test/support/postgres.ts';
import { alarmLog, alarmsOf, type Facts, factsOf } from '../alarms/index.ts';
import { Desk } from '../publishing/desk.fixture.ts';
import { type PublishingDeps, Refresher } from '../publishing/index.ts';
import { createMetrics } from './metrics.ts';
import { readiness } from './readiness.ts';

const DAY = 24 * 60 * 60 * 1000;
let desk: Desk;
beforeEach(async () => {
  desk = await Desk.open((await testDatabase()).db);
  await desk.bootstrap();
});
afterEach(() => desk.close());

/** The parts of a service that tell, around a repository that is signed with these keys. */
function parts(keys: PublishingDeps['keys']) {
  const { db, blobs, clock, organisation } = desk.deps;
  const refresher = new Refresher({ ...desk.deps, keys, random: () => 0 }, SILENT_LOG);
  const certificates: Facts['certificates'] = [{ subject: 'service', expires: clock.now() + 90 * DAY }];
  const facts = factsOf({
    db,
    blobs,
    clock,
    wall: clock,
    certificates: () => certificates,
    refreshFailure: () => refresher.failure,
  });
  const now = () => ({ fleet: clock.now(), wall: clock.now() });
  const alarms = async () => alarmsOf(await facts(organisation), now());
  const metrics = createMetrics();
  metrics.watch({
    db,
    lifetimes: { facts: () => facts(organisation), now, refreshFailures: () => refresher.failures },
  });
  const doorbell = { ...memoryDoorbell(SILENT_LOG), check: () => Promise.resolve() };
  const ready = (director = desk.director.keyId) =>
    readiness({ db, doorbell, organisation, director, clock, alarms, fenced: () => Promise.resolve(false) });
  return { refresher, alarms, metrics, ready };
}

test('a director that the policy does not name is no service that chargers believe', async () => {
  const { ready } = parts(desk.deps.keys);
  expect(await ready()).toMatchObject({ ready: true });
  expect(await ready('0'.repeat(64))).toMatchObject({ ready: false, checks: { repository: { ok: false } } });
});

test('a signing key that fails is told at once, and for as long as it does; the roles never expire unsaid', async () => {
  const { timestamp } = desk.deps.keys;
  let works = false;
  const sign: typeof timestamp.sign = (bytes) =>
    works ? timestamp.sign(bytes) : Promise.reject(new Error('the KMS does not answer'));
  const failing = { ...timestamp, keyId: timestamp.keyId, sign };
  const { refresher, alarms, metrics, ready } = parts({ ...desk.deps.keys, timestamp: failing });
  const said: string[] = [];
  const keep = (level: string) => (_fields: object, message: string) => void said.push(`${level} ${message}`);
  const log = alarmLog({ info: keep('info'), warn: keep('warn'), error: keep('error') });
  const step = async (ms: number): Promise<string[]> => {
    desk.clock.time += ms;
    await refresher.run();
    const all = await alarms();
    log(all);
    return all.map(({ code, subject }) => `${code} ${subject}`);
  };

  expect(await step(0)).toEqual([]);
  expect((await ready()).checks.repository.detail).not.toContain(';');
  expect(await step(DAY / 2)).toEqual(['REFRESH_FAILING timestamp']);
  expect(await ready()).toMatchObject({ ready: true });
  expect((await ready()).checks.repository.detail).toContain('; REFRESH_FAILING: timestamp');
  const text = await metrics.registry.metrics();
  expect(text).toMatch(/^tidegate_refresh_failures 1$/m);
  expect(text).toMatch(/^tidegate_alarms\{code="REFRESH_FAILING",severity="urgent"\} 1$/m);
  expect(text).toMatch(/^tidegate_role_remaining_seconds\{role="timestamp"\} 43200$/m);
  expect(text).toMatch(/^tidegate_certificate_remaining_seconds\{subject="service"\} \d+$/m);
  expect(text).toMatch(/^tidegate_charger_certificates\{ends="expired"\} 0$/m);
  expect(await step(DAY / 4 + 1)).toEqual(['REFRESH_FAILING timestamp', 'ROLE_EXPIRING timestamp']);
  expect(await step(DAY / 4)).toEqual(['ROLE_EXPIRED timestamp', 'REFRESH_FAILING timestamp'].toReversed());
  expect(await ready()).toMatchObject({
    ready: false,
    checks: { repository: { ok: false, detail: 'timestamp.json has expired' } },
  });
  works = true;
  expect(await step(DAY / 48)).toEqual([]);
  expect((await ready()).ready).toBe(true);
  expect(said.filter((line) => line.startsWith('error Snapshot and timestamp could not be'))).toHaveLength(1);
  expect(said.at(-1)).toMatch(/^info The alarm is over: /);
});

test('a service that is behind is not ready, and says by how much', async () => {
  const { ready, metrics } = parts(desk.deps.keys);
  const { db } = desk.deps;
  const at = new Date(desk.clock.time);
  const organisation = 'acme';
  await db
    .insertInto('sites')
    .values({ organisation, id: 's', name: 's', type: 't', region: 'r', time_zone: 'UTC', created_at: at })
    .execute();
  const charger = {
    organisation,
    product: 'acme.dc150',
    hardware: 'h',
    site: 's',
    stratum: 's',
    cohort_key: 1,
  };
  await db
    .insertInto('chargers')
    .values({ ...charger, serial: 'CP-1', state: 'ACTIVE' })
    .execute();
  await db
    .insertInto('ahead_marks')
    .values({ organisation, serial: 'CP-1', role: 'targets', version: 4, first_at: at, at })
    .execute();
  const { ready: isReady, checks } = await ready();
  expect([isReady, checks.repository.ok]).toEqual([false, false]);
  expect(checks.repository.detail).toContain('targets 1 is published, and 1 charger at 1 site trust 4.');
  expect(await metrics.registry.metrics()).toMatch(
    /^tidegate_chargers_ahead\{role="targets",credence="believed"\} 1$/m,
  );
});
