import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/postgres.ts';
import { verifyAudit } from '../audit/index.ts';
import { digest, PRODUCT, text } from '../publishing/desk.fixture.ts';
import { OPERATOR_ROUTES } from './index.ts';
import { TestService } from './service.fixture.ts';

let service: TestService;
const reason = 'a test';
const PLAN = { canary: { size: { count: 2 } }, waves: [{ size: { count: 4 } }], holdBack: { count: 2 } };

beforeAll(async () => {
  service = await TestService.start((await testDatabase()).db);
  await service.desk.release(await service.desk.buildRelease('1.0.0'));
  await service.addFleet(8);
});
afterAll(async () => {
  await service.stop();
  expect(service.faults).toEqual([]);
});

async function newRollout(who = 'alice', more: Record<string, unknown> = {}): Promise<string> {
  const body = { product: PRODUCT, version: '1.0.0', plan: PLAN, reason, ...more };
  const made = await service.post(who, '/rollouts', body);
  expect(made.status).toBe(201);
  return made.body['id'] as string;
}

describe('bad input is named, and nothing changes', () => {
  const rollout = (change: Record<string, unknown>) => ({
    body: { product: PRODUCT, version: '1.0.0', plan: PLAN, reason, ...change },
  });
  const site = { id: 's1', type: 'depot', region: 'de', timeZone: 'Europe/Berlin' };
  const token = { serial: 'X1', product: PRODUCT, hardware: 'dc150-r2', site: 'site-0', reason };
  type Case = [string, string, { body?: unknown; raw?: string }, number, string, string?];
  const CASES: Case[] = [
    ['not JSON', '/sites', { raw: '{"id":' }, 400, 'BODY_MALFORMED'],
    ['no reason', '/sites', { body: site }, 400, 'REASON_REQUIRED', '/reason'],
    ['an empty reason', '/sites', { body: { ...site, reason: '' } }, 400, 'FIELD_INVALID', '/reason'],
    [
      'a control character',
      '/sites',
      { body: { ...site, name: 'a\0b', reason } },
      400,
      'FIELD_INVALID',
      '/name',
    ],
    ['an unknown field', '/sites', { body: { ...site, by: 'bob', reason } }, 400, 'FIELD_INVALID'],
    [
      'an offset for a zone',
      '/sites',
      { body: { ...site, timeZone: '+02:00', reason } },
      400,
      'FIELD_INVALID',
      '/timeZone',
    ],
    [
      'an unknown product',
      '/fleet/tokens',
      { body: { ...token, product: 'acme.none' } },
      404,
      'PRODUCT_UNKNOWN',
      '/product',
    ],
    [
      'hardware that no release fits',
      '/fleet/tokens',
      { body: { ...token, hardware: 'dc150-r9' } },
      422,
      'HARDWARE_UNKNOWN',
      '/hardware',
    ],
    [
      'an adoption of a charger that is not there',
      '/fleet/adopt',
      { body: { product: PRODUCT, version: '1.0.0', serials: ['DC-0000', 'DC-9999'], reason } },
      404,
      'NOT_FOUND',
      '/serials',
    ],
    ['an unknown site', '/fleet/tokens', { body: { ...token, site: 'nowhere' } }, 404, 'NOT_FOUND', '/site'],
    [
      'another site for a known serial',
      '/fleet/tokens',
      { body: { ...token, serial: 'DC-0000', site: 'site-1' } },
      409,
      'ALREADY_EXISTS',
      '/site',
    ],
    [
      'a rollout of an unknown product',
      '/rollouts',
      rollout({ product: 'acme.none' }),
      404,
      'PRODUCT_UNKNOWN',
    ],
    ['a rollout of an unknown version', '/rollouts', rollout({ version: '9.9.9' }), 404, 'RELEASE_UNKNOWN'],
    [
      'waves over 100 %',
      '/rollouts',
      rollout({ plan: { waves: [{ size: { share: 0.7 } }, { size: { share: 0.4 } }] } }),
      422,
      'PLAN_INVALID',
      '/plan/waves',
    ],
    [
      'more than the fleet',
      '/rollouts',
      rollout({ plan: { ...PLAN, waves: [{ size: { count: 9 } }] } }),
      422,
      'PLAN_INVALID',
      '/plan/waves',
    ],
    [
      'no hold-back',
      '/rollouts',
      rollout({ plan: { ...PLAN, holdBack: { count: 0 } } }),
      422,
      'PLAN_INVALID',
      '/plan/holdBack',
    ],
    [
      'nothing left for the hold-back',
      '/rollouts',
      rollout({ plan: { ...PLAN, waves: [{ size: { count: 6 } }] } }),
      422,
      'PLAN_INVALID',
      '/plan/holdBack',
    ],
    [
      'a plan that needs nobody but its author',
      '/rollouts',
      rollout({ plan: { ...PLAN, approvals: 0 } }),
      422,
      'PLAN_INVALID',
      '/plan/approvals',
    ],
    [
      'a soak of next to no time',
      '/rollouts',
      rollout({ plan: { ...PLAN, canary: { size: { count: 2 }, soak: { hours: 1e-9 } } } }),
      422,
      'PLAN_INVALID',
      '/plan/canary/soak/hours',
    ],
    [
      'a soak just below an hour',
      '/rollouts',
      rollout({ plan: { ...PLAN, waves: [{ size: { count: 4 }, soak: { hours: 0.99 } }] } }),
      422,
      'PLAN_INVALID',
      '/plan/waves/0/soak/hours',
    ],
    [
      'a soak that a handful of reports would end',
      '/rollouts',
      rollout({ plan: { ...PLAN, waves: [{ size: { count: 4 }, soak: { hours: 10, chargerHours: 3.9 } }] } }),
      422,
      'PLAN_INVALID',
      '/plan/waves/0/soak/chargerHours',
    ],
    [
      'a control character in a name',
      '/rollouts',
      rollout({ plan: { ...PLAN, waves: [{ name: 'a\u0000b', size: { count: 1 } }] } }),
      422,
      'PLAN_INVALID',
      '/plan/waves/0/name',
    ],
    ['a plan that is no object', '/rollouts', rollout({ plan: [] }), 422, 'PLAN_INVALID', '/plan'],
  ];

  test.each(CASES)('%s', async (_name, path, options, status, code, pointer) => {
    const before = await service.state();
    const answer = await service.request('alice', 'POST', path, options);
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status, code });
    if (pointer !== undefined) expect(answer.body['pointer']).toBe(pointer);
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(await service.state()).toEqual(before);
  });

  test('a publication is refused with its code, over HTTP too', async () => {
    const { desk } = service;
    const before = await service.state();
    const built = await desk.buildRelease('3.0.0');
    for (const bytes of [built.image, built.bundle]) {
      const put = await service.request('erin', 'PUT', `/uploads/${digest(bytes)}`, {
        raw: bytes,
        headers: { 'content-type': 'application/octet-stream' },
      });
      expect(put.status).toBe(201);
    }
    const role = text(await desk.listReleases([built], 1));
    const answer = await service.post('erin', '/publications', { products: { [PRODUCT]: role }, reason });
    expect([answer.status, answer.body.code]).toEqual([422, 'METADATA_UNSIGNED']);
    expect(await service.state()).toEqual(before);
  });

  test('an upload with other bytes, and one that ends early, keep nothing', async () => {
    const before = await service.state();
    const other = await service.request('erin', 'PUT', `/uploads/${digest('x')}`, { raw: 'y' });
    expect([other.status, other.body.code]).toEqual([422, 'UPLOAD_MISMATCH']);
    const socket = connect(Number(new URL(service.origin).port), '127.0.0.1');
    const head = `PUT /operator/v1/uploads/${digest('x')} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n`;
    socket.write(`${head}Authorization: Bearer ${service.credentialOf('erin')}\r\n\r\nhalf`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    socket.destroy();
    await expect.poll(() => service.state()).toEqual(before);
    const endless = await fetch(`${service.origin}/operator/v1/uploads/${digest('x')}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${service.credentialOf('erin')}` },
      body: new Blob(['x']).stream(),
      duplex: 'half',
    });
    expect([endless.status, ((await endless.json()) as { code: string }).code]).toEqual([
      411,
      'LENGTH_REQUIRED',
    ]);
  });

  test('an unknown method, and a misspelt filter', async () => {
    expect((await service.request('alice', 'DELETE', '/sites')).body.code).toBe('METHOD_NOT_ALLOWED');
    expect((await service.get('alice', '/fleet?produkt=x')).body.code).toBe('FIELD_INVALID');
    expect((await service.get('alice', '/fleet?limit=0')).body['pointer']).toBe('?limit');
  });
});

describe('a rollout', () => {
  test('is the author of the credential, with rates of its fleet, and waits for another person', async () => {
    const id = await newRollout();
    const row = await service.db
      .selectFrom('rollouts')
      .select(['mean_rates', 'earlier', 'state', 'status'])
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    expect(row.mean_rates).toEqual({ fault: 0.25 });
    expect(row.earlier).toEqual({ fault: [16, 64] });
    expect(row.state).toMatchObject({ author: 'alice', population: 8 });
    expect(row.status).toBe('AWAITING_APPROVAL');
    const own = await service.post('alice', `/rollouts/${id}/approve`, { reason });
    expect([own.status, own.body.code]).toEqual([403, 'AUTHOR_CANNOT_APPROVE']);
    service.rung.length = 0;
    const other = await service.post('bob', `/rollouts/${id}/approve`, { reason });
    expect(other.body).toMatchObject({ status: 'SCHEDULED', approvals: [{ by: 'bob', reason }] });
    expect(service.rung).toEqual([{ organisation: 'acme', id }]);
    const again = await service.post('bob', `/rollouts/${id}/approve`, { reason });
    expect([again.status, again.body.code]).toEqual([409, 'NOTHING_TO_APPROVE']);
    await service.post('bob', `/rollouts/${id}/cancel`, { reason });
  });

  test('lands in the audit log with who, why and from where', async () => {
    const id = await newRollout();
    await service.post('bob', `/rollouts/${id}/cancel`, { reason: 'wrong version' });
    const { body } = await service.get('vera', `/audit?subject=${id}`);
    expect(body.items).toMatchObject([
      { actor: 'alice', action: 'rollout.create', reason },
      { actor: 'alice', action: 'rollout.submit' },
      {
        actor: 'bob',
        action: 'rollout.cancel',
        reason: 'wrong version',
        source: expect.stringMatching(/127.0.0.1|::1/),
      },
    ]);
    expect(await verifyAudit(service.db, 'acme')).toMatchObject({ ok: true });
  });

  test('is guarded by If-Match', async () => {
    const id = await newRollout();
    const stale = await service.post('bob', `/rollouts/${id}/approve`, { reason }, { 'if-match': '"1"' });
    expect([stale.status, stale.body.code]).toEqual([412, 'PRECONDITION_FAILED']);
    const etag = (await service.get('bob', `/rollouts/${id}`)).headers.get('etag') ?? '';
    const fresh = await service.post('bob', `/rollouts/${id}/approve`, { reason }, { 'if-match': etag });
    expect(fresh.status).toBe(200);
    await service.post('bob', `/rollouts/${id}/cancel`, { reason });
  });

  test('waits for the end of another of its product, also when both are made at one moment', async () => {
    const id = await newRollout();
    const draft = await newRollout('alice', { draft: true });
    const before = await service.state();
    for (const [path, body] of [
      ['/rollouts', { product: PRODUCT, version: '1.0.0', plan: PLAN, reason }],
      [`/rollouts/${draft}/submit`, { reason }],
    ] as const) {
      const refused = await service.post('bob', path, body);
      expect([refused.status, refused.body.code]).toEqual([409, 'ROLLOUT_LIVE']);
      expect(refused.body['detail']).toContain(id);
    }
    expect(await service.state()).toEqual(before);
    await service.post('bob', `/rollouts/${id}/cancel`, { reason });
    expect((await service.post('bob', `/rollouts/${draft}/submit`, { reason })).status).toBe(200);
    await service.post('bob', `/rollouts/${draft}/cancel`, { reason });

    const body = { product: PRODUCT, version: '1.0.0', plan: PLAN, reason };
    const made = await Promise.all(Array.from({ length: 6 }, () => service.post('alice', '/rollouts', body)));
    const live = await service.db
      .selectFrom('rollouts')
      .select('id')
      .where('status', 'in', ['DRAFT', 'AWAITING_APPROVAL'])
      .execute();
    const ids = made.filter(({ status }) => status === 201).map((answer) => answer.body['id']);
    expect(live.map((row) => row.id)).toEqual(ids);
    expect(ids).toHaveLength(1);
    for (const { status, body: told } of made) {
      if (status !== 201) expect(['ROLLOUT_LIVE', 'CONFLICT']).toContain(told.code);
    }
    await service.post('bob', `/rollouts/${String(ids[0])}/cancel`, { reason });
  });

  test('a draft stays one until it is submitted', async () => {
    const id = await newRollout('alice', { draft: true });
    expect((await service.post('bob', `/rollouts/${id}/approve`, { reason })).body.code).toBe(
      'NOTHING_TO_APPROVE',
    );
    expect((await service.post('alice', `/rollouts/${id}/submit`, { reason })).body['status']).toBe(
      'AWAITING_APPROVAL',
    );
    const why = await service.get('vera', `/rollouts/${id}/why`);
    expect(why.body).toMatchObject({ evidence: null, signals: [], failed: [] });
    await service.post('alice', `/rollouts/${id}/cancel`, { reason });
  });
});

describe('the fleet', () => {
  const token = { serial: 'N-1', product: PRODUCT, hardware: 'dc150-r2', site: 'site-0', reason };

  test('a token makes an expected charger; its secret is stored and repeated nowhere', async () => {
    const made = await service.post('alice', '/fleet/tokens', token, { 'idempotency-key': 't1' });
    expect(made.status).toBe(201);
    const secret = made.body['token'] as string;
    const charger = await service.get('vera', '/fleet/N-1');
    expect(charger.body).toMatchObject({ state: 'EXPECTED', running: null });
    const again = await service.post('alice', '/fleet/tokens', token, { 'idempotency-key': 't1' });
    expect([again.status, again.body.code]).toEqual([409, 'ALREADY_EXISTS']);
    const kept = await service.db.selectFrom('idempotency_keys').selectAll().execute();
    const audit = await service.db.selectFrom('audit').selectAll().execute();
    expect(JSON.stringify([kept, audit])).not.toContain(secret);
  });

  test('is adopted without an install: only who reports that version, and no digest', async () => {
    const set = (serial: string, version: string | null, sha256: string | null) =>
      service.db
        .updateTable('chargers')
        .set({ running_version: version, running_sha256: sha256 })
        .where('serial', '=', serial)
        .execute();
    await set('DC-0000', '1.0.0', null);
    await set('DC-0001', '0.9.0', null);
    await set('DC-0002', '1.0.0', digest('other'));
    const adopted = await service.post('bob', '/fleet/adopt', { product: PRODUCT, version: '1.0.0', reason });
    expect(adopted.body['adopted']).toBe(1);
    const { body } = await service.get('vera', '/fleet/DC-0000');
    expect(body['running']).toEqual({ version: '1.0.0', sha256: adopted.body['sha256'] });
    const named = { product: PRODUCT, version: '1.0.0', serials: ['DC-0001', 'DC-0003'], reason };
    // DC-0003 has never reported and is named; DC-0001 reports another version.
    expect((await service.post('bob', '/fleet/adopt', named)).body['adopted']).toBe(1);
  });

  test('is adopted on hardware that the release fits, and on no other', async () => {
    const place = { ...token, newHardware: true, hardware: 'dc150-r9' };
    for (const serial of ['R9-1', 'R9-2']) {
      const made = await service.post('alice', '/fleet/tokens', { ...place, serial });
      expect(made.body['note']).toEqual(expect.stringContaining('dc150-r9'));
    }
    const adoption = { product: PRODUCT, version: '1.0.0', reason };
    const before = await service.state();
    const named = await service.post('bob', '/fleet/adopt', { ...adoption, serials: ['DC-0004', 'R9-1'] });
    expect([named.status, named.body.code]).toEqual([422, 'HARDWARE_MISMATCH']);
    expect(await service.state()).toEqual(before);
    await service.db
      .updateTable('chargers')
      .set({ running_version: '1.0.0' })
      .where('serial', '=', 'R9-2')
      .execute();
    const all = await service.post('bob', '/fleet/adopt', adoption);
    expect(all.body).toMatchObject({
      adopted: 0,
      leftAlone: [{ serial: 'R9-2', because: 'OTHER_HARDWARE' }],
    });
    expect((await service.get('vera', '/fleet/R9-2')).body['running']).toMatchObject({ sha256: null });
  });

  test('a wrong token is corrected by another, as long as nobody enrolled with it', async () => {
    const place = { ...token, serial: 'W-1' };
    await service.post('alice', '/fleet/tokens', { ...place, newHardware: true, hardware: 'dc150-r7' });
    const right = await service.post('alice', '/fleet/tokens', { ...place, site: 'site-1' });
    expect(right.status).toBe(201);
    const row = () =>
      service.db.selectFrom('chargers').selectAll().where('serial', '=', 'W-1').executeTakeFirstOrThrow();
    expect(await row()).toMatchObject({
      hardware: 'dc150-r2',
      site: 'site-1',
      stratum: 'dc150-r2/depot/de',
      state: 'EXPECTED',
    });
    const tokens = await service.db
      .selectFrom('enrolment_tokens')
      .select(['site', 'used_at'])
      .where('serial', '=', 'W-1')
      .orderBy('site')
      .execute();
    expect(tokens.map(({ site, used_at }) => [site, used_at === null])).toEqual([
      ['site-0', false],
      ['site-1', true],
    ]);
    // Retired by mistake, or with a serial number that comes after all.
    await service.post('alice', '/fleet/W-1/retire', { reason });
    expect((await service.post('alice', '/fleet/tokens', place)).status).toBe(201);
    expect(await row()).toMatchObject({ state: 'EXPECTED', site: 'site-0' });

    const enrolled = { state: 'ACTIVE', enrolled_at: new Date(service.desk.clock.time) } as const;
    await service.db.updateTable('chargers').set(enrolled).where('serial', '=', 'W-1').execute();
    const moved = await service.post('alice', '/fleet/tokens', { ...place, site: 'site-1' });
    expect([moved.status, moved.body.code]).toEqual([409, 'ALREADY_EXISTS']);
    expect((await service.post('alice', '/fleet/tokens', place)).status).toBe(201);
    await service.post('alice', '/fleet/W-1/retire', { reason });
    expect((await service.post('alice', '/fleet/tokens', place)).body.code).toBe('WRONG_STATUS');
  });

  test('a replaced charger is retired, its successor expected in its place', async () => {
    await service.post('alice', '/fleet/tokens', { ...token, serial: 'N-2' });
    const made = await service.post('alice', '/fleet/N-2/replace', { with: 'N-3', reason });
    expect(made.body).toMatchObject({ serial: 'N-3', site: 'site-0', product: PRODUCT });
    expect((await service.get('vera', '/fleet/N-2')).body).toMatchObject({
      state: 'RETIRED',
      replacedBy: 'N-3',
    });
    const voided = await service.db
      .selectFrom('enrolment_tokens')
      .select('used_at')
      .where('serial', '=', 'N-2')
      .executeTakeFirstOrThrow();
    expect(voided.used_at).not.toBeNull();
    expect((await service.post('alice', '/fleet/N-2/retire', { reason })).body.code).toBe('WRONG_STATUS');
  });

  test('pages by cursor, each charger once', async () => {
    const seen: unknown[] = [];
    for (let after: string | null = ''; after !== null;) {
      const from: string = after === '' ? '' : `&after=${after}`;
      const { body } = await service.get('vera', `/fleet?product=${PRODUCT}&limit=3${from}`);
      seen.push(...(body.items ?? []).map((item) => item['serial']));
      after = body['next'] as string | null;
    }
    const all = await service.db.selectFrom('chargers').select('serial').orderBy('serial').execute();
    expect(seen).toEqual(all.map((row) => row.serial));
  });
});

test('rollouts are listed newest first, those of one day too', async () => {
  const made: string[] = [];
  for (let i = 0; i < 6; i++) {
    service.desk.clock.time += 1000;
    made.unshift(await newRollout('alice', { draft: true }));
  }
  const seen: unknown[] = [];
  for (let after = ''; seen.length < made.length;) {
    const { body } = await service.get('vera', `/rollouts?limit=2${after === '' ? '' : `&after=${after}`}`);
    seen.push(...(body.items ?? []).map((item) => item['id']));
    after = body['next'] as string;
  }
  expect(seen).toEqual(made);
});

test('OpenAPI 3.1 describes every route, from the schemas that validate', async () => {
  const { body } = await service.get('vera', '/openapi.json');
  expect(body['openapi']).toBe('3.1.0');
  const paths = body['paths'] as Record<string, Record<string, { requestBody?: unknown }>>;
  for (const { method, path } of OPERATOR_ROUTES) {
    const described = paths[`/operator/v1${path.replaceAll(/:(\w+)/g, '{$1}')}`]?.[method];
    expect(described).toBeDefined();
  }
  expect(JSON.stringify(paths['/operator/v1/sites']?.['post']?.requestBody)).toContain('"reason"');
});
