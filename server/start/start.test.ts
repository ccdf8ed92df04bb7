import { once } from 'node:events';
import { createServer } from 'node:net';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createRollout, parsePlan } from '@tidegate/rollout/core';
import { type Image, ORGANISATION, PRODUCT, seedFleet } from '../../test/support/fleet.ts';
import { emptyDatabase } from '../../test/support/postgres.ts';
import { freePort, type TestRedis, testRedis, WITHOUT_REDIS } from '../../test/support/redis.ts';
import { type Db, openDatabase } from '../db/index.ts';
import { postgresAccount } from '../db/embedded/account.ts';
import { settle } from '../db/embedded/place.ts';
import { loadConfig } from './config.ts';
import { type RunningService, startService } from './service.ts';
import { gone, TestState } from './state.fixture.ts';

const silent = pino({ level: 'silent' });
const running: RunningService[] = [];
let state: TestState;
let root: string;
let home: string;

beforeAll(async () => {
  state = await TestState.init();
  ({ root, home } = state);
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((service) => service.stop()));
});

afterAll(async () => {
  await state.remove();
});

describe('with nothing configured', () => {
  test('starts a PostgreSQL of its own, answers readiness by name, and moves a rollout', async () => {
    const service = await start({});
    expect(await read(`${service.url}/readyz`)).toMatchObject({
      status: 200,
      body: {
        ready: true,
        checks: { database: { ok: true }, queue: { ok: true }, repository: { ok: true } },
      },
    });
    expect((await read(`${service.url}/healthz`)).status).toBe(200);
    expect(await read(`${service.url}/nothing`)).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
    expect(await read(`${service.url}/operator/v1/sites`)).toMatchObject({ status: 401 });
    const { text } = await read(`${service.url}/metrics`);
    expect(text).toContain('tidegate_rollouts');
    for (const role of ['root', 'targets', 'snapshot', 'timestamp']) {
      const [, seconds] =
        new RegExp(`^tidegate_role_remaining_seconds\\{role="${role}"\\} (\\S+)$`, 'm').exec(text) ?? [];
      expect(Number(seconds)).toBeGreaterThan(0);
    }
    await movesARollout(await embeddedDatabase());
  });

  test('a restart keeps certificate and data, and leaves the files of people complete', async () => {
    const before = await readFile(join(home, 'service', 'tls', 'server.pem'), 'utf8');
    const service = await start({});
    expect((await read(`${service.url}/readyz`)).status).toBe(200);
    expect(await readFile(join(home, 'service', 'tls', 'server.pem'), 'utf8')).toBe(before);
    const { ca } = JSON.parse(await readFile(join(home, 'credentials', 'alice.json'), 'utf8')) as {
      ca: string;
    };
    expect((await read(`${service.url}/readyz`, ca)).status).toBe(200);
  });

  test('one whose store somebody else has written starts, says so, and is not ready', async () => {
    const file = join(home, 'service', 'tuf', 'metadata', 'timestamp.json');
    const ours = await readFile(file, 'utf8');
    await writeFile(file, ours.replace('"version":', '"version": '));
    const service = await start({});
    expect(await read(`${service.url}/readyz`)).toMatchObject({
      status: 503,
      body: {
        checks: { repository: { ok: false, detail: expect.stringContaining('REPOSITORY_FENCED') as string } },
      },
    });
    expect(await readFile(file, 'utf8')).not.toBe(ours);
    await writeFile(file, ours);
    expect((await read(`${service.url}/readyz`)).status).toBe(200);
  });

  test('kill -9 takes PostgreSQL down; the next start goes on with the data', async () => {
    const port = String(await freePort());
    const child = state.spawn({ TIDEGATE_PORT: port });
    const [line] = (await child.ready) as [string];
    expect(JSON.parse(line)).toMatchObject({ url: `https://localhost:${port}`, organisation: 'acme' });
    const db = await embeddedDatabase();
    const marks = await db
      .selectFrom('repository')
      .select(['root_version', 'targets_version'])
      .executeTakeFirst();
    await db.destroy();
    const postmaster = await state.postmaster();
    child.kill('SIGKILL');
    await gone(postmaster);
    const service = await start({});
    expect((await read(`${service.url}/readyz`)).status).toBe(200);
    const after = await embeddedDatabase();
    expect(
      await after.selectFrom('repository').select(['root_version', 'targets_version']).executeTakeFirst(),
    ).toEqual(marks);
    await after.destroy();
  });

  test('PostgreSQL that ends by itself ends the service, with a code', async () => {
    const service = await start({});
    process.kill(await state.postmaster(), 'SIGINT');
    expect(await service.ended).toMatchObject({ code: 'POSTGRES_LOST' });
  });
});

test('metadata that has expired is told by readiness and by a figure, and chargers of other products go on', async () => {
  const fleet = Date.now() + 200 * 24 * 60 * 60 * 1000;
  const clock = join(root, 'late.json');
  await writeFile(
    clock,
    JSON.stringify({
      segments: [
        { wall: 0, fleet: 0, speed: 1 },
        { wall: Date.now(), fleet, speed: 1 },
      ],
    }),
  );
  const service = await start({ TIDEGATE_FLEET_CLOCK: clock });
  // The service signs its own roles again; what people sign has expired.
  let ready = await read(`${service.url}/readyz`);
  while (ready.status !== 200) ready = await read(`${service.url}/readyz`);
  expect(ready.text).toContain('signed again by people: root, targets');
  const { text } = await read(`${service.url}/metrics`);
  expect(text).toMatch(/^tidegate_role_remaining_seconds\{role="targets"\} -\d/m);
  expect(text).toMatch(/^tidegate_role_remaining_seconds\{role="timestamp"\} \d/m);
});

describe.skipIf(WITHOUT_REDIS !== undefined && process.env['CI'] !== 'true')(
  `on a PostgreSQL and a Redis of one's own${WITHOUT_REDIS === undefined ? '' : ` (skipped: ${WITHOUT_REDIS})`}`,
  () => {
    let redis: TestRedis;
    beforeAll(async () => {
      expect(WITHOUT_REDIS).toBeUndefined();
      redis = await testRedis();
    });
    afterAll(() => redis?.stop());

    test('starts, answers readiness, moves a rollout, and survives a flush of Redis', async () => {
      const { db, url } = await emptyDatabase();
      // A service on another database begins its own repository.
      await rm(join(home, 'service', 'tuf'), { recursive: true, force: true });
      const service = await start({ DATABASE_URL: url, REDIS_URL: redis.url });
      expect((await read(`${service.url}/readyz`)).status).toBe(200);
      // Flushed again and again while the rollout is rung for, worked on and rung for once more.
      const flushing = setInterval(() => void redis.flush(), 5);
      const stopFlushing = setTimeout(() => clearInterval(flushing), 1_500);
      await movesARollout(db).finally(() => {
        clearTimeout(stopFlushing);
        clearInterval(flushing);
      });
      await redis.stop();
      expect(await read(`${service.url}/readyz`)).toMatchObject({
        status: 503,
        body: { checks: { database: { ok: true }, queue: { ok: false } } },
      });
    });
  },
);

describe('what cannot work is said with a code, and nothing is left running', () => {
  test('a port in use', async () => {
    const taken = createServer().listen(0);
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    await expect(start({ TIDEGATE_PORT: String(port) })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    taken.close();
  });

  test('a database that does not answer, without telling its password', async () => {
    const port = String(await freePort());
    const env = { DATABASE_URL: 'postgresql://u:hunter2@127.0.0.1:1/x', TIDEGATE_PORT: port };
    const failure = await start(env).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'DATABASE_UNREACHABLE' });
    expect(String(failure)).not.toContain('hunter2');
    const again = createServer().listen(Number(port));
    await once(again, 'listening');
    again.close();
  });

  test.each([
    ['TIDEGATE_PORT', 'many'],
    ['DATABASE_URL', 'mysql://u:hunter2@host/x'],
    ['REDIS_URL', 'localhost'],
    ['TIDEGATE_STORE', 's3://key:hunter2@bucket'],
    ['TIDEGATE_FLEET_CLOCK', 'no-such-file'],
  ])('a %s that cannot be', async (name, value) => {
    const failure = await start({ [name]: value }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(String(failure)).toContain(name);
    expect(String(failure)).not.toContain('hunter2');
  });

  test('a store that does not answer', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'key').stubEnv('AWS_SECRET_ACCESS_KEY', 'hunter2');
    const failure = await start({
      TIDEGATE_STORE: 's3://firmware?endpoint=http://127.0.0.1:1&region=eu',
    }).catch((error: unknown) => error);
    vi.unstubAllEnvs();
    expect(failure).toMatchObject({ code: 'STORE_UNREACHABLE' });
    expect(String(failure)).not.toContain('hunter2');
  });

  test('a folder that was never set up, and one whose state is broken', async () => {
    await expect(start({ TIDEGATE_HOME: join(root, 'empty') })).rejects.toMatchObject({
      code: 'STATE_MISSING',
    });
    const file = join(home, 'service', 'service.json');
    const before = await readFile(file, 'utf8');
    await writeFile(file, '{"organisation": 7}');
    await expect(start({})).rejects.toMatchObject({ code: 'STATE_MALFORMED' });
    await writeFile(file, before);
  });
});

async function start(env: Record<string, string>): Promise<RunningService> {
  const config = await loadConfig({ TIDEGATE_HOME: home, TIDEGATE_PORT: '0', ...env }, root);
  const service = await startService(config, silent);
  running.push(service);
  return service;
}

function read(url: string, ca?: string): Promise<{ status: number; body: unknown; text: string }> {
  return new Promise((resolve, reject) => {
    const trust = ca === undefined ? { rejectUnauthorized: false } : { ca };
    get(url, { agent: false, ...trust }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.once('end', () => {
        const isJson = response.headers['content-type']?.includes('json') === true;
        const body: unknown = isJson ? JSON.parse(text) : undefined;
        resolve({ status: response.statusCode ?? 0, body, text });
      });
    }).once('error', reject);
  });
}

async function embeddedDatabase(): Promise<Db> {
  const { socket } = await settle(join(home, 'service', 'postgres'), postgresAccount());
  return openDatabase(`postgresql://tidegate@/tidegate?host=${encodeURIComponent(socket)}`);
}

/** A rollout that is due is found by the sweeper, rung, worked on, and its canary drawn. */
async function movesARollout(db: Db): Promise<void> {
  const image: Image = {
    path: `${PRODUCT}/fw-2.0.0.bin`,
    sha256: 'c'.repeat(64),
    length: 10,
    version: '2.0.0',
    securityVersion: 1,
    hardware: ['r1'],
    barred: false,
    fallback: [],
  };
  const chargers = Array.from({ length: 10 }, (_, i) => ({
    serial: `CP-${i}`,
    product: PRODUCT,
    hardware: 'r1',
    site: 'berlin',
    stratum: 'r1/depot/north',
    running: null,
  }));
  await seedFleet(db, { chargers, images: [image] });
  const plan = parsePlan({ canary: { size: { count: 3 } }, waves: [], holdBack: { count: 2 }, approvals: 0 });
  if (!plan.ok) throw new Error(JSON.stringify(plan.problems));
  const { path, version, sha256, length } = image;
  const created = createRollout({
    id: 'r-20261122-abcdef',
    organisation: ORGANISATION,
    product: PRODUCT,
    release: { path, version, sha256, length },
    author: 'alice',
    plan: plan.plan,
    seed: 'seed',
    population: chargers.length,
    now: Date.now(),
  });
  if (!created.ok) throw new Error(JSON.stringify(created.problems));
  const rollout = { ...created.rollout, status: 'SCHEDULED' as const };
  const now = new Date();
  await db
    .insertInto('rollouts')
    .values({
      organisation: ORGANISATION,
      id: rollout.id,
      product: PRODUCT,
      version,
      status: rollout.status,
      revision: 1,
      state: JSON.stringify(rollout),
      due_at: now,
      created_at: now,
    })
    .execute();
  const drawn = () =>
    db.selectFrom('assignments').select('serial').where('rollout', '=', rollout.id).execute();
  while ((await drawn()).length < 3) await sleep(20);
  const { status } = await db.selectFrom('rollouts').select('status').executeTakeFirstOrThrow();
  expect(status).toBe('RUNNING');
  // What rings were lost or doubled, it was decided and carried out once.
  const begun = await db
    .selectFrom('audit')
    .select('position')
    .where('action', '=', 'rollout.running')
    .execute();
  expect([begun.length, (await drawn()).length]).toEqual([1, 3]);
  await db.destroy();
}
