/** `Idempotency-Key`, one request after the other and at the same moment. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { sql } from 'kysely';
import { testDatabase } from '../../test/support/postgres.ts';
import { digest, PRODUCT } from '../publishing/desk.fixture.ts';
import { forgetKeys } from './idempotency.ts';
import { type Answer, TestService } from './service.fixture.ts';

let service: TestService;
const reason = 'a test';
const PLAN = { canary: { size: { count: 2 } }, waves: [{ size: { count: 4 } }], holdBack: { count: 2 } };
const planOf = (waves: number) => ({ ...PLAN, waves: [{ size: { count: waves } }] });
let keys = 0;
let key: { 'idempotency-key': string };

beforeAll(async () => {
  service = await TestService.start((await testDatabase()).db);
  await service.desk.release(await service.desk.buildRelease('1.0.0'));
  await service.addFleet(8);
});
beforeEach(() => {
  key = { 'idempotency-key': `key-${++keys}` };
});
afterAll(async () => {
  await service.stop();
  expect(service.faults).toEqual([]);
});

/** Drafts: of one product one rollout is live at a time. */
const rollout = (plan: unknown = PLAN) => ({ product: PRODUCT, version: '1.0.0', plan, draft: true, reason });
const create = (body: unknown) => service.post('alice', '/rollouts', body, key);
const waves = ({ body }: Answer) => (body['steps'] as { size: number }[])[1]?.size;

test('a rollout made twice under one key is one; another request under it is refused', async () => {
  const first = await create(rollout());
  const second = await create(rollout());
  expect(second.body).toEqual(first.body);
  for (const other of [{ ...rollout(), reason: 'other' }, rollout(planOf(3))]) {
    const refused = await create(other);
    expect([refused.status, refused.body.code]).toEqual([422, 'IDEMPOTENCY_MISMATCH']);
  }
  const elsewhere = await service.post(
    'alice',
    `/rollouts/${String(first.body['id'])}/pause`,
    { reason },
    key,
  );
  expect(elsewhere.body.code).toBe('IDEMPOTENCY_MISMATCH');
});

test('where the kept answer is lost, the repetition finds the rollout, and another plan does not', async () => {
  const first = await create(rollout());
  await service.db.deleteFrom('idempotency_keys').execute();
  const other = await create(rollout(planOf(3)));
  expect([other.status, other.body.code]).toEqual([422, 'IDEMPOTENCY_MISMATCH']);
  expect((await create(rollout())).body['id']).toBe(first.body['id']);
});

test('a key is forgotten after a week, in its own organisation', async () => {
  const day = 24 * 60 * 60_000;
  const kept = async () => {
    const row = service.db
      .selectFrom('idempotency_keys')
      .select('created_at')
      .where('key', '=', `key-${keys}`);
    return (await row.execute()).map(({ created_at }) => created_at.getTime());
  };
  await create(rollout());
  const [made = 0] = await kept();
  await forgetKeys(service.db, 'acme', made + 7 * day);
  await forgetKeys(service.db, 'somebody-else', made + 8 * day);
  expect(await kept()).toEqual([made]);
  await forgetKeys(service.db, 'acme', made + 7 * day + 1);
  expect(await kept()).toEqual([]);
});

test('of two requests at the same moment, each with another body, one is carried out and the other refused', async () => {
  for (let round = 0; round < 8; round++) {
    key = { 'idempotency-key': `pair-${round}` };
    const sizes = [3, 4];
    const both = await Promise.all(sizes.map((size) => create(rollout(planOf(size)))));
    expect(new Set(both.map(({ status }) => status))).toEqual(new Set([201, 422]));
    for (const [i, answer] of both.entries()) {
      if (answer.status === 201) expect(waves(answer)).toBe(sizes[i]);
      else expect(answer.body.code).toBe('IDEMPOTENCY_MISMATCH');
    }
  }
});

test('the same request many times at the same moment is carried out once', async () => {
  const token = { serial: 'T-1', product: PRODUCT, hardware: 'dc150-r2', site: 'site-0', reason };
  const all = await Promise.all(
    Array.from({ length: 6 }, () => service.post('alice', '/fleet/tokens', token, key)),
  );
  expect(all.filter(({ status }) => status === 201)).toHaveLength(1);
  for (const { status, body, headers } of all) {
    if (status === 201) continue;
    expect(['IDEMPOTENCY_IN_PROGRESS', 'ALREADY_EXISTS']).toContain(body.code);
    if (body.code === 'IDEMPOTENCY_IN_PROGRESS') expect(headers.get('retry-after')).toBe('1');
  }
  const tokens = await service.db
    .selectFrom('enrolment_tokens')
    .select('serial')
    .where('serial', '=', 'T-1')
    .execute();
  expect(tokens).toHaveLength(1);
});

test('a request whose service died is held for a while, then carried out by its repetition alone', async () => {
  const site = { id: 'quay', type: 'depot', region: 'de', timeZone: 'Europe/Berlin', reason };
  const add = (body: unknown = site) => service.post('alice', '/sites', body, key);
  expect((await add()).status).toBe(201);
  // As after a crash between the commit and the keeping of the answer.
  await service.db.updateTable('idempotency_keys').set({ status: null, body: null }).execute();
  expect((await add()).body.code).toBe('IDEMPOTENCY_IN_PROGRESS');
  await sql`update idempotency_keys set held_until = now() - interval '1 second'`.execute(service.db);
  expect((await add({ ...site, id: 'other' })).body.code).toBe('IDEMPOTENCY_MISMATCH');
  expect((await add()).body.code).toBe('ALREADY_EXISTS');
});

test('a refusal gives the key back', async () => {
  const wrong = await create({ ...rollout(), version: '9.9.9' });
  expect(wrong.body.code).toBe('RELEASE_UNKNOWN');
  expect((await create(rollout())).status).toBe(201);
});

test('keys belong to one person', async () => {
  const own = await create(rollout());
  const others = await service.post('bob', '/rollouts', rollout(planOf(3)), key);
  expect(others.status).toBe(201);
  expect(others.body['id']).not.toBe(own.body['id']);
});

test('only what a POST does is remembered: reading under a key reads anew, an upload is one by its digest', async () => {
  await service.db.deleteFrom('idempotency_keys').execute();
  const list = () => service.request('vera', 'GET', '/sites', { headers: key });
  const before = (await list()).body.items?.length ?? 0;
  const site = { id: 'pier', type: 'depot', region: 'de', timeZone: 'Europe/Berlin', reason };
  expect((await service.post('alice', '/sites', site)).status).toBe(201);
  expect((await list()).body.items).toHaveLength(before + 1);
  const put = (text: string) =>
    service.request('erin', 'PUT', `/uploads/${digest(text)}`, { raw: text, headers: key });
  expect((await put('one')).status).toBe(201);
  expect((await put('two')).status).toBe(201);
  expect(await service.db.selectFrom('idempotency_keys').selectAll().execute()).toEqual([]);
});
