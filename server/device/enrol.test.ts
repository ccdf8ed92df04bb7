import { X509Certificate, createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EnrolAnswer, EnrolRequest } from '@tidegate/client-sdk/protocol';
import { verifyAudit } from '../audit/index.ts';
import { type Fleet, HARDWARE, ORG, PRODUCT, START, checkInBody, makeFleet } from './testing/fleet.ts';
import { newKeyAndRequest } from './testing/service.ts';

let fleet: Fleet;
let key: string;
let csr: string;

beforeAll(async () => {
  fleet = await makeFleet({ enrolFailuresPerMinute: 1_000 });
  ({ key, csr } = await newKeyAndRequest());
});
afterAll(() => fleet.close());

async function token(serial: string, hours = 72): Promise<string> {
  const text = randomBytes(32).toString('base64url');
  const place = { organisation: ORG, serial, product: PRODUCT, hardware: HARDWARE, site: 'berlin' };
  await fleet.db
    .insertInto('chargers')
    .values({ ...place, state: 'EXPECTED', stratum: 's', cohort_key: 1 })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await fleet.db
    .insertInto('enrolment_tokens')
    .values({
      ...place,
      token_sha256: createHash('sha256').update(text, 'utf8').digest(),
      created_by: 'ann',
      created_at: new Date(START),
      expires_at: new Date(START + hours * 3_600_000),
    })
    .execute();
  return text;
}

async function enrol(change: Partial<EnrolRequest> & { token: string; serial: string }) {
  const body: EnrolRequest = { hardware: HARDWARE, csr, ...change };
  const { status, json } = await fleet.service.call('POST', '/device/v1/enrol', { body });
  return { status, ...(json as Partial<EnrolAnswer> & { code?: string }) };
}

const active = async (serial: string) => {
  const row = await fleet.db
    .selectFrom('chargers')
    .selectAll()
    .where('serial', '=', serial)
    .executeTakeFirst();
  return row?.state === 'ACTIVE' ? row : undefined;
};

test('a token gives the charger that it was made for a certificate, and it may call', async () => {
  const answer = await enrol({ token: await token('SN-1'), serial: 'SN-1' });
  expect(answer.status).toBe(200);
  const leaf = new X509Certificate(answer.certificate ?? '');
  expect(leaf.subject.split('\n')).toEqual(['CN=SN-1', `O=${ORG}`]);
  expect(leaf.verify(new X509Certificate(answer.chain ?? '').publicKey)).toBe(true);
  const client = { key, cert: answer.certificate ?? '' };
  const called = await fleet.service.call('POST', '/device/v1/check-in', { client, body: checkInBody() });
  expect(called.status).toBe(200);
  const audit = await fleet.db.selectFrom('audit').selectAll().execute();
  expect(audit).toMatchObject([{ actor: 'charger:SN-1', action: 'charger.enrol', source: '127.0.0.1' }]);
  expect(await verifyAudit(fleet.db, ORG)).toMatchObject({ ok: true });
});

test('a second enrolment replaces the first certificate', async () => {
  const first = await enrol({ token: await token('SN-2'), serial: 'SN-2' });
  await enrol({ token: await token('SN-2'), serial: 'SN-2' });
  const client = { key, cert: first.certificate ?? '' };
  const called = await fleet.service.call('POST', '/device/v1/check-in', { client, body: checkInBody() });
  expect(called.json).toMatchObject({ code: 'CHARGER_UNKNOWN' });
});

test('a token is used once, also when several come at the same moment', async () => {
  const once = await token('SN-3');
  const answers = await Promise.all(Array.from({ length: 6 }, () => enrol({ token: once, serial: 'SN-3' })));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(new Set(answers.map(({ code }) => code))).toEqual(new Set([undefined, 'TOKEN_USED']));
});

test('a refused request changes nothing and leaves the token as it is', async () => {
  const good = await token('SN-4');
  const old = await token('SN-5', -1);
  expect(await enrol({ token: 'unknown', serial: 'SN-4' })).toMatchObject({
    status: 403,
    code: 'TOKEN_UNKNOWN',
  });
  expect(await enrol({ token: good, serial: 'SN-5' })).toMatchObject({ status: 403, code: 'TOKEN_MISMATCH' });
  expect(await enrol({ token: good, serial: 'SN-4', hardware: 'dc150-r9' })).toMatchObject({
    code: 'TOKEN_MISMATCH',
  });
  expect(await enrol({ token: old, serial: 'SN-5' })).toMatchObject({ status: 403, code: 'TOKEN_EXPIRED' });
  expect(await enrol({ token: good, serial: 'SN-4', csr: 'nonsense' })).toMatchObject({
    code: 'CSR_INVALID',
  });
  expect(await enrol({ token: good, serial: '../SN-4' })).toMatchObject({
    status: 400,
    code: 'FIELD_INVALID',
  });
  expect([await active('SN-4'), await active('SN-5')]).toEqual([undefined, undefined]);
  expect(await enrol({ token: good, serial: 'SN-4' })).toMatchObject({ status: 200 });
});

test('a retired charger stays retired', async () => {
  const late = await token('SN-6');
  await fleet.db.updateTable('chargers').set({ state: 'RETIRED' }).where('serial', '=', 'SN-6').execute();
  expect(await enrol({ token: late, serial: 'SN-6' })).toMatchObject({ code: 'CHARGER_RETIRED' });
  const row = await fleet.db
    .selectFrom('enrolment_tokens')
    .select('used_at')
    .where('serial', '=', 'SN-6')
    .executeTakeFirst();
  expect(row?.used_at).toBeNull();
});

test("another tenant's token is unknown here", async () => {
  const foreign = await token('SN-7');
  const deps = { ...fleet.deps, organisation: 'other' };
  const { enrol: direct } = await import('./enrol.ts');
  const request = { token: foreign, serial: 'SN-7', hardware: HARDWARE, csr };
  await expect(direct(deps, request, '::1')).rejects.toMatchObject({ code: 'TOKEN_UNKNOWN' });
});

test('who fails too often has to wait', async () => {
  const strict = await makeFleet({ enrolFailuresPerMinute: 3 });
  const body = { token: 'unknown', serial: 'SN-1', hardware: HARDWARE, csr };
  const codes = [];
  for (let i = 0; i < 5; i++) {
    const { json, headers } = await strict.service.call('POST', '/device/v1/enrol', { body });
    codes.push((json as { code: string }).code);
    if (i > 2) expect(Number(headers['retry-after'])).toBeGreaterThan(0);
  }
  await strict.close();
  expect(codes).toEqual(['TOKEN_UNKNOWN', 'TOKEN_UNKNOWN', 'TOKEN_UNKNOWN', 'RATE_LIMITED', 'RATE_LIMITED']);
});
