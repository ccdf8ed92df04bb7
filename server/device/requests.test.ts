import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { LIMITS } from '@tidegate/client-sdk/protocol';
import { BlobError, metadataKey, TIMESTAMP_KEY, targetKey } from '@tidegate/signer/repository';
import {
  type Fleet,
  PRODUCT,
  type TestCharger,
  addCharger,
  checkInBody,
  makeFleet,
  report,
} from './testing/fleet.ts';

const IMAGE = Buffer.from('0123456789');
const SHA256 = createHash('sha256').update(IMAGE).digest('hex');
const TARGET = `/tuf/targets/${PRODUCT}/${SHA256}.fw.bin`;
let fleet: Fleet;
let charger: TestCharger;

beforeAll(async () => {
  fleet = await makeFleet();
  charger = await addCharger(fleet, 'SN-1');
  const { blobs } = fleet.deps;
  await blobs.put(targetKey(`${PRODUCT}/fw.bin`, SHA256), IMAGE);
  await blobs.put(targetKey(`${PRODUCT}/fw.bin.sigstore.json`, SHA256), IMAGE);
  await blobs.put(metadataKey(PRODUCT, 3), Buffer.from('{"role":3}'));
  await blobs.put(TIMESTAMP_KEY, Buffer.from('{"t":1}'));
});
afterAll(() => fleet.close());

async function refused(path: string, body: unknown, headers: Record<string, string> = {}) {
  const { client } = charger;
  const { status, json } = await fleet.service.call('POST', `/device/v1/${path}`, { client, body, headers });
  return [status, (json as { code: string }).code, (json as { pointer?: string }).pointer];
}

const untouched = async () => {
  const row = await fleet.db.selectFrom('chargers').selectAll().executeTakeFirstOrThrow();
  expect(row).toMatchObject({ last_seen_at: null, last_report: 0, last_sequence: 0, baseline: {} });
};

test('bodies that are malformed, too large or out of bounds are refused with a code and change nothing', async () => {
  const body = checkInBody();
  const long = 'x'.repeat(LIMITS.checkInBody);
  expect(await refused('check-in', '{"nonce":')).toEqual([400, 'BODY_MALFORMED', undefined]);
  expect(await refused('check-in', { ...body, long })).toEqual([413, 'BODY_TOO_LARGE', undefined]);
  expect(await refused('check-in', '{}', { 'content-type': 'text/plain' })).toEqual([
    415,
    'CONTENT_TYPE',
    undefined,
  ]);
  expect(await refused('check-in', {})).toEqual([400, 'FIELD_INVALID', '/nonce']);
  expect(await refused('check-in', [])).toEqual([400, 'FIELD_INVALID', '']);
  const many = Array.from({ length: LIMITS.reportsPerCheckIn + 1 }, (_, i) => report(fleet, i + 1));
  const event = { at: new Date().toISOString(), signal: 'fault', code: 'x' };
  const bad: [unknown, string][] = [
    [{ ...body, reports: many }, '/reports'],
    [{ ...body, nonce: 'short' }, '/nonce'],
    [{ ...body, running: { ...body.running, version: '1' } }, '/running/version'],
    [{ ...body, running: { ...body.running, sha256: 'F'.repeat(64) } }, '/running/sha256'],
    [{ ...body, marks: { root: -1, timestamp: 1 } }, '/marks/root'],
    [{ ...body, charging: 'no' }, '/charging'],
    [{ ...body, assignment: { assignment: '../../x', progress: 'STAGED' } }, '/assignment/assignment'],
    [{ ...body, assignment: { assignment: 'a-1', progress: 'DONE' } }, '/assignment/progress'],
    [{ ...body, reports: [report(fleet, 0)] }, '/reports/0/sequence'],
    [{ ...body, reports: [{ ...report(fleet, 1), from: 'yesterday' }] }, '/reports/0/from'],
    [
      { ...body, reports: [report(fleet, 1, { exposure: { attempts: -1 } })] },
      '/reports/0/exposure/attempts',
    ],
    [
      { ...body, reports: [report(fleet, 1, { exposure: { attempts: 1e300 } })] },
      '/reports/0/exposure/attempts',
    ],
    [
      { ...body, reports: [{ ...report(fleet, 1), events: [{ ...event, signal: 'noise' }] }] },
      '/reports/0/events/0/signal',
    ],
    [
      { ...body, reports: [{ ...report(fleet, 1), events: [{ ...event, severity: 10 }] }] },
      '/reports/0/events/0/severity',
    ],
  ];
  for (const [value, pointer] of bad)
    expect(await refused('check-in', value)).toEqual([400, 'FIELD_INVALID', pointer]);
  expect(await refused('confirm', { nonce: body.nonce, assignment: 'a-1' })).toEqual([
    400,
    'FIELD_INVALID',
    '/sha256',
  ]);
  const unknown = { nonce: body.nonce, assignment: 'a-1', sha256: 'a'.repeat(64) };
  expect(await refused('confirm', unknown)).toEqual([404, 'ASSIGNMENT_UNKNOWN', undefined]);
  await untouched();
});

test('without a certificate nothing is served but enrolment', async () => {
  for (const [method, path] of [
    ['POST', '/device/v1/check-in'],
    ['POST', '/device/v1/confirm'],
    ['GET', '/tuf/metadata/timestamp.json'],
    ['GET', TARGET],
  ] as const) {
    const answer = await fleet.service.call(method, path, method === 'POST' ? { body: checkInBody() } : {});
    expect([answer.status, (answer.json as { code: string }).code]).toEqual([401, 'CERTIFICATE_MISSING']);
  }
});

test('a text that PostgreSQL could not hold does not break the batch it is in', async () => {
  const code = 'a\u0000b\u001b[31m';
  const event = { at: new Date(fleet.clock.now() - 60_000).toISOString(), signal: 'fault' as const, code };
  const { client } = charger;
  const body = checkInBody({ reports: [report(fleet, 1, { events: [event] })] });
  const answers = await Promise.all(
    [body, checkInBody()].map((sent) =>
      fleet.service.call('POST', '/device/v1/check-in', { client, body: sent }),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  expect(await fleet.db.selectFrom('last_events').select('signal').execute()).toEqual([{ signal: 'fault' }]);
});

const get = (path: string, headers: Record<string, string> = {}) =>
  fleet.service.call('GET', path, { client: charger.client, headers });

test('consistent names are kept for ever, timestamp.json never', async () => {
  const metadata = await get(`/tuf/metadata/3.${PRODUCT}.json`);
  expect(metadata.body.toString()).toBe('{"role":3}');
  expect(metadata.headers['cache-control']).toContain('immutable');
  const timestamp = await get('/tuf/metadata/timestamp.json');
  expect(timestamp.headers['cache-control']).toBe('no-store');
  expect(timestamp.json).toEqual({ t: 1 });
  const image = await get(TARGET);
  expect([image.status, image.body, image.headers['content-length']]).toEqual([200, IMAGE, '10']);
  expect(image.headers['cache-control']).toContain('immutable');
  const bundle = await get(`/tuf/targets/${PRODUCT}/${SHA256}.fw.bin.sigstore.json`);
  expect(bundle.status).toBe(200);
});

test('a download resumes by range, and only of the same file', async () => {
  const { headers } = await get(TARGET);
  const etag = headers.etag ?? '';
  const rest = await get(TARGET, { range: 'bytes=4-', 'if-range': etag });
  expect([rest.status, rest.body.toString(), rest.headers['content-range']]).toEqual([
    206,
    '456789',
    'bytes 4-9/10',
  ]);
  const tail = await get(TARGET, { range: 'bytes=-2' });
  expect(tail.body.toString()).toBe('89');
  expect((await get(TARGET, { range: 'bytes=4-', 'if-range': '"other"' })).status).toBe(200);
  expect((await get(TARGET, { range: 'bytes=0-1,4-5' })).status).toBe(200);
  const beyond = await get(TARGET, { range: 'bytes=10-' });
  expect([beyond.status, beyond.headers['content-range']]).toEqual([416, 'bytes */10']);
  expect(beyond.json).toMatchObject({ code: 'RANGE_INVALID' });
  expect((await get(TARGET, { 'if-none-match': etag })).status).toBe(304);
});

test.each([
  `/tuf/metadata/..%2ftimestamp.json`,
  `/tuf/metadata/timestamp.json.bak`,
  `/tuf/metadata/0.root.json`,
  `/tuf/metadata/1.secret.json`,
  `/tuf/metadata/%`,
  `/tuf/targets/${PRODUCT}/fw.bin`,
  `/tuf/targets/${PRODUCT}/..%2f..%2fmetadata%2ftimestamp.json`,
  `/tuf/targets/..%2fmetadata/timestamp.json`,
  `/tuf/targets/acme.other/${SHA256}.fw.bin`,
])('%s is not there', async (path) => {
  const answer = await get(path);
  expect([answer.status, (answer.json as { code: string }).code]).toEqual([404, 'NOT_FOUND']);
  expect(answer.headers['cache-control']).toBe('no-store');
});

test('a root is there once its publication has committed, and not before', async () => {
  const { blobs, db } = fleet.deps;
  for (const version of [2, 3])
    await blobs.put(metadataKey('root', version), Buffer.from(`{"root":${version}}`));
  // The repository row says 2; the third was written by a publication that has not committed.
  expect((await get('/tuf/metadata/2.root.json')).json).toEqual({ root: 2 });
  const early = await get('/tuf/metadata/3.root.json');
  expect([early.status, (early.json as { code: string }).code]).toEqual([404, 'NOT_FOUND']);
  await db.updateTable('repository').set({ root_version: 3 }).execute();
  expect((await get('/tuf/metadata/3.root.json')).json).toEqual({ root: 3 });
  await db.updateTable('repository').set({ root_version: 2 }).execute();
});

/** Has the store do something else before the next reads. */
function beforeGet(work: (key: string) => Promise<unknown>): void {
  const { blobs } = fleet.deps;
  const real = blobs.get.bind(blobs);
  blobs.get = async (...args) => {
    await work(args[0]);
    return real(...args);
  };
  onTestFinished(() => void (blobs.get = real));
}

test('a timestamp that is replaced while it is asked for comes whole, with the length and the tag that are its own', async () => {
  const { blobs } = fleet.deps;
  const before = (await get('/tuf/metadata/timestamp.json')).headers.etag;
  let replaced = 0;
  beforeGet(async (key) => {
    if (replaced++ === 0) await blobs.put(key, Buffer.from('{"t":2000000}'), { replace: 'any' });
  });
  const { status, headers, json } = await get('/tuf/metadata/timestamp.json');
  expect([status, headers['content-length'], json]).toEqual([200, '13', { t: 2_000_000 }]);
  expect(headers.etag).toBe(`"${(await blobs.stat(TIMESTAMP_KEY))?.etag}"`);
  expect(headers.etag).not.toBe(before);
});

test('a range of a file that shrinks meanwhile is refused, and of one that never stands still it is said', async () => {
  const { blobs } = fleet.deps;
  await blobs.put(TIMESTAMP_KEY, Buffer.from('{"t":1000000}'), { replace: 'any' });
  let version = 0;
  let forever = false;
  beforeGet(async (key) => {
    if (version++ > 0 && !forever) return;
    await blobs.put(key, Buffer.from(`{"t":${version % 10}}`), { replace: 'any' });
  });
  const late = await get('/tuf/metadata/timestamp.json', { range: 'bytes=10-' });
  expect([late.status, late.headers['content-range']]).toEqual([416, 'bytes */7']);
  forever = true;
  const never = await get('/tuf/metadata/timestamp.json');
  expect([never.status, never.headers['retry-after']]).toEqual([503, '1']);
  expect(never.json).toMatchObject({ code: 'UNAVAILABLE' });
});

test('while the store is away chargers are told to come again', async () => {
  beforeGet((key) => Promise.reject(new BlobError('BLOB_UNAVAILABLE', key, { cause: new Error('503') })));
  for (const path of ['/tuf/metadata/timestamp.json', TARGET]) {
    const answer = await get(path);
    expect([answer.status, answer.headers['retry-after'], answer.headers['cache-control']]).toEqual([
      503,
      '30',
      'no-store',
    ]);
    expect(answer.json).toMatchObject({ code: 'STORE_UNAVAILABLE' });
  }
});
