/** Facts from a real database, a real repository and real certificates; and a rollout that waits for them. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { memoryDoorbell, SILENT_LOG, work } from '@tidegate/rollout/shell';
import { bump } from '@tidegate/signer/repository';
import { testDatabase } from '../../test/support/postgres.ts';
import { TestService } from '../operator/service.fixture.ts';
import { type Built, PRODUCT } from '../publishing/desk.fixture.ts';
import { certificateFacts, factsOf } from './index.ts';

const DAY = 24 * 60 * 60 * 1000;
const PLAN = { canary: { size: { count: 2 } }, waves: [{ size: { count: 4 } }], holdBack: { count: 2 } };
const reason = 'a test';
let service: TestService;
let old: Built;

beforeEach(async () => {
  service = await TestService.start((await testDatabase()).db);
  old = await service.desk.buildRelease('1.0.0');
  await service.desk.release(old);
  await service.addFleet(8);
});
afterEach(async () => {
  await service.stop();
  expect(service.faults).toEqual([]);
});

const codes = async (): Promise<unknown[]> => {
  const { body } = await service.get('vera', '/alarms');
  return (body.items ?? []).map((item) => ['severity', 'code', 'subject'].map((key) => item[key]).join(' '));
};

/** Release 1.1.0, whose way back ends in so many days. */
function next(days: number): Promise<Built> {
  const { path, sha256 } = old.target;
  const expires = new Date(service.desk.clock.time + days * DAY).toISOString().replace('.000Z', 'Z');
  return service.desk.buildRelease('1.1.0', {
    custom: { fallback: [{ path, sha256, expires, auto: false }] },
  });
}

/** As the service does it: every hour, for so many hours. */
async function look(id: string): Promise<void> {
  const { store, clock, lifetimes } = service.deps;
  const deps = { store, clock, lifetimes, doorbell: memoryDoorbell(SILENT_LOG), log: SILENT_LOG };
  await work({ organisation: 'acme', id }, deps);
}

async function approved(version: string): Promise<string> {
  const made = await service.post('alice', '/rollouts', { product: PRODUCT, version, plan: PLAN, reason });
  const id = made.body['id'] as string;
  await service.post('bob', `/rollouts/${id}/approve`, { reason });
  return id;
}

const show = async (id: string) => (await service.get('vera', `/rollouts/${id}`)).body;

test('roles, ways back and certificates that near their end are alarms for everybody who may look', async () => {
  expect(await codes()).toEqual([]);
  await service.desk.release(await next(20));
  await service.db
    .updateTable('chargers')
    .set({ certificate_expires_at: new Date(service.desk.clock.time + 10 * DAY) })
    .where('serial', 'in', ['DC-0001', 'DC-0002'])
    .execute();
  // Nobody runs it yet: one alarm for the product.
  expect(await codes()).toEqual([
    'warning CHARGER_CERTIFICATES_EXPIRING chargers',
    `warning FALLBACK_EXPIRING ${PRODUCT}`,
  ]);
  await service.db
    .updateTable('chargers')
    .set({ running_sha256: (await listed('1.1.0')).sha256 })
    .execute();
  service.desk.clock.time += 11 * DAY;
  expect(await codes()).toEqual([
    'urgent CHARGER_CERTIFICATES_EXPIRED chargers',
    'urgent ROLE_EXPIRED timestamp',
    'urgent ROLE_EXPIRED snapshot',
    `warning FALLBACK_EXPIRING ${PRODUCT} 1.1.0 → ${old.target.path}`,
  ]);
});

test("the service's certificates are read from what TLS serves", async () => {
  const { url, ca } = await service.listenTls();
  expect(url).toMatch(/^https/);
  const facts = certificateFacts({ service: ca, ca });
  expect(facts.map(({ subject }) => subject)).toEqual(['service', 'CA']);
  expect(facts[1]?.expires).toBeGreaterThan(Date.now() + 3600 * DAY);
});

test('a store that has lost a role is an alarm, and no failure of the one who asks', async () => {
  await service.db.updateTable('repository').set({ root_version: 9 }).execute();
  expect(await codes()).toContain('urgent REPOSITORY_UNREADABLE repository');
});

test('a rollout does not start when its way back would end in its watch, and starts by itself once it is renewed', async () => {
  const built = await next(5);
  await service.desk.release(built);
  const draft = { product: PRODUCT, version: '1.1.0', plan: PLAN, draft: true, reason };
  const { body } = await service.post('alice', '/rollouts', draft);
  expect(body['warnings']).toEqual([expect.stringMatching(/^The way back to .* expires at /)]);
  const id = await approved('1.1.0');
  await look(id);
  expect(await show(id)).toMatchObject({ status: 'SCHEDULED', holding: 'EXPIRING', warnings: [] });
  expect((await show(id))['waits']).toEqual([
    expect.stringMatching(/^canary does not open\. The way back to /),
  ]);
  const { path, sha256 } = old.target;
  const expires = new Date(service.desk.clock.time + 60 * DAY).toISOString().replace('.000Z', 'Z');
  const custom = { ...built.target.custom, fallback: [{ path, sha256, expires, auto: false }] };
  const role = bump(service.desk.role(), 'product', service.desk.clock.time);
  const target = role.signed.targets[built.target.path];
  if (target === undefined) throw new Error('It is listed.');
  target.custom = custom;
  await service.desk.publishRole(await service.desk.signRole(role));
  await look(id);
  expect(await show(id)).toMatchObject({ status: 'RUNNING', holding: null });
});

test('nor when a role or the certificates of more chargers than may fail would', async () => {
  const { clock } = service.desk;
  await service.desk.release(await next(89));
  const id = await approved('1.1.0');
  await service.db
    .updateTable('chargers')
    .set({ certificate_expires_at: new Date(clock.time + 2 * DAY) })
    .where('serial', 'in', ['DC-0001', 'DC-0002'])
    .execute();
  await service.db
    .updateTable('chargers')
    .set({ certificate_expires_at: new Date(clock.time + 80 * DAY) })
    .where('serial', 'not in', ['DC-0001', 'DC-0002'])
    .execute();
  await look(id);
  expect((await show(id))['waits']).toEqual([expect.stringContaining(`Of the ${PRODUCT} chargers 25 %`)]);
  await service.db
    .updateTable('chargers')
    .set({ certificate_expires_at: new Date(clock.time + 200 * DAY) })
    .execute();
  clock.time += 85 * DAY;
  await look(id);
  const waits = (await show(id))['waits'] as string[];
  expect(
    waits.map((text) => /The (role \S+|way back)/.exec(text)?.[1] ?? text).sort((a, b) => a.localeCompare(b)),
  ).toEqual([`role ${PRODUCT}`, 'role root', 'role targets', 'way back']);
});

test('facts of another organisation are its own', async () => {
  const { db, clock } = service.desk.deps;
  const facts = await factsOf({
    db,
    clock,
    wall: clock,
    blobs: service.desk.deps.blobs,
    certificates: () => [],
    refreshFailure: () => undefined,
  })('volta');
  expect(facts).toMatchObject({
    roles: [],
    ahead: [],
    fallbacks: [],
    chargers: { expired: 0, nearest: null },
  });
});

async function listed(version: string) {
  return service.db
    .selectFrom('releases')
    .select('sha256')
    .where('version', '=', version)
    .executeTakeFirstOrThrow();
}
