/**
 * An organisation beside another that has more: names that only the other has are not there, names that both have are two things, and what
 * the other has counts in nothing. `tenants.test.ts` has the mirror. Design §8.11
 */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cohortKey } from '@tidegate/rollout/core';
import { testDatabase } from '../../test/support/postgres.ts';
import { PRODUCT } from '../publishing/desk.fixture.ts';
import { TestService } from './service.fixture.ts';

const reason = 'a test';
const PLAN = { canary: { size: { count: 1 } }, waves: [{ size: { count: 1 } }], holdBack: { count: 1 } };
const PIA = 'pia@volta';
const place = { product: PRODUCT, hardware: 'dc150-r2', site: 'own-0' };
let service: TestService;

beforeAll(async () => {
  service = await TestService.start((await testDatabase()).db);
  const at = new Date(service.desk.clock.time);
  await service.desk.release(await service.desk.buildRelease('1.0.0'));
  await service.addFleet(8);
  const { db } = service;
  await db.insertInto('organisations').values({ id: 'volta', name: 'Volta', created_at: at }).execute();
  await service.addPerson('volta', 'pia', ['admin', 'operator']);
  for (const table of ['products', 'releases']) {
    await sql`insert into ${sql.table(table)}
      select (jsonb_populate_record(null::${sql.table(table)}, to_jsonb(x) || '{"organisation": "volta"}')).*
      from ${sql.table(table)} x`.execute(db);
  }
  for (const id of ['own-0', 'own-1']) {
    const site = { id, name: id, type: 'depot', region: 'no', time_zone: 'Europe/Oslo', created_at: at };
    await db
      .insertInto('sites')
      .values({ organisation: 'volta', ...site })
      .execute();
  }
  for (const serial of ['V-1', 'V-2', 'V-3']) {
    const baseline = JSON.stringify({ fault: [8, 8] });
    const charger = { ...place, serial, state: 'ACTIVE' as const, baseline, stratum: 's' };
    await db
      .insertInto('chargers')
      .values({ organisation: 'volta', ...charger, cohort_key: cohortKey(serial) })
      .execute();
  }
});
afterAll(async () => {
  await service.stop();
  expect(service.faults).toEqual([]);
});

const codeOf = async (path: string, body: object) =>
  (await service.post(PIA, path, { ...body, reason })).body.code ?? 'done';
const acmes = (serial: string) =>
  service.db
    .selectFrom('chargers')
    .leftJoin('enrolment_tokens as token', (join) =>
      join
        .onRef('token.organisation', '=', 'chargers.organisation')
        .onRef('token.serial', '=', 'chargers.serial'),
    )
    .selectAll('chargers')
    .select('token.used_at')
    .where('chargers.organisation', '=', 'acme')
    .where('chargers.serial', '=', serial)
    .execute();

test('what only the other has is not there', async () => {
  expect(await codeOf('/fleet/tokens', { serial: 'N-1', ...place, site: 'site-0' })).toBe('NOT_FOUND');
  expect(await codeOf('/fleet/DC-0000/retire', {})).toBe('NOT_FOUND');
  expect(await codeOf('/fleet/DC-0000/replace', { with: 'N-1' })).toBe('NOT_FOUND');
  expect(await codeOf('/fleet/adopt', { product: PRODUCT, version: '1.0.0', serials: ['DC-0000'] })).toBe(
    'NOT_FOUND',
  );
  expect(await codeOf('/operators/alice/revoke', {})).toBe('NOT_FOUND');
});

test('a charger of the same serial number is another charger, and so are its tokens', async () => {
  const token = { serial: 'X-1', ...place, reason };
  expect((await service.post('alice', '/fleet/tokens', { ...token, site: 'site-1' })).status).toBe(201);
  const before = await acmes('X-1');
  expect(before).toMatchObject([{ state: 'EXPECTED', site: 'site-1', used_at: null }]);
  expect(await codeOf('/fleet/tokens', token)).toBe('done');
  expect(await codeOf('/fleet/tokens', { ...token, site: 'own-1' })).toBe('done');
  expect(await codeOf('/fleet/X-1/retire', {})).toBe('done');
  expect(await acmes('X-1')).toEqual(before);
});

test('a live rollout, chargers and faults of the other count in nothing here', async () => {
  const rollout = { product: PRODUCT, version: '1.0.0', plan: PLAN, reason };
  expect((await service.post('alice', '/rollouts', rollout)).status).toBe(201);
  const made = await service.post(PIA, '/rollouts', rollout);
  expect(made.body).toMatchObject({ status: 'AWAITING_APPROVAL', population: 3 });
  const row = await service.db
    .selectFrom('rollouts')
    .select(['mean_rates', 'earlier'])
    .where('organisation', '=', 'volta')
    .executeTakeFirstOrThrow();
  expect(row).toEqual({ mean_rates: { fault: 1 }, earlier: { fault: [24, 24] } });
});

test('adopting names nobody of the other', async () => {
  await sql`update chargers set running_version = '1.0.0', running_sha256 = null, hardware = 'dc150-r9'
    where organisation = 'acme' and serial = 'DC-0001'`.execute(service.db);
  const adopted = await service.post(PIA, '/fleet/adopt', { product: PRODUCT, version: '1.0.0', reason });
  expect(adopted.body).toMatchObject({ adopted: 0, leftAlone: [] });
});
