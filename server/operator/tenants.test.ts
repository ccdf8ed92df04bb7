/**
 * Two organisations in one database, the second a mirror of the first down to serial numbers, rollout ids and paths; only a mark tells
 * them apart. Over all routes: who reads sees their own mark alone and their own sums, who writes changes their own rows alone. A filter
 * that is missing anywhere mixes the marks, doubles a sum, or changes the other's rows. Design §8.11
 */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NOTHING_EXPIRES, SILENT_LOG, work } from '@tidegate/rollout/shell';
import { testDatabase } from '../../test/support/postgres.ts';
import { appendAudit } from '../audit/index.ts';
import { inTransaction } from '../db/index.ts';
import { digest, PRODUCT } from '../publishing/desk.fixture.ts';
import { OPERATOR_ROUTES } from './index.ts';
import { type Answer, TestService } from './service.fixture.ts';

const reason = 'a test';
const MARK = { acme: 'MARK-OF-ACME', volta: 'MARK-OF-VOLTA' };
const HERS = 'eve@volta';
const PLAN = { canary: { size: { count: 2 } }, waves: [{ size: { count: 4 } }], holdBack: { count: 2 } };
/** In an order in which each row's references are there before it. */
const MIRRORED = [
  'sites',
  'products',
  'releases',
  'enrolment_tokens',
  'chargers',
  'rollouts',
  'assignments',
  'step_counts',
  'step_exposure',
  'signal_bins',
  'last_events',
  'hard_events',
  'repository',
];

let service: TestService;
let id: string;
const uploaded = digest('one file');
/** What acme's people read before there was another organisation: not a row and not a sum more since. */
const alone = new Map<string, string>();

beforeAll(async () => {
  service = await TestService.start((await testDatabase()).db);
  await service.desk.release(await service.desk.buildRelease('1.0.0'));
  await service.addFleet(8);
  await service.addPerson('acme', 'ada', ['admin', 'operator', 'release-engineer']);
  const body = { product: PRODUCT, version: '1.0.0', plan: PLAN, reason: MARK.acme };
  id = (await service.post('alice', '/rollouts', body)).body['id'] as string;
  await service.post('bob', `/rollouts/${id}/approve`, { reason: MARK.acme });
  const { store, doorbell, clock } = service.deps;
  await work(
    { organisation: 'acme', id },
    { store, doorbell, clock, lifetimes: NOTHING_EXPIRES, log: SILENT_LOG },
  );
  await mark();
  for (const path of reads()) alone.set(path, textOf(path, await service.get('ada', path)));
  await mirror();
});
afterAll(async () => {
  await service.stop();
  expect(service.faults).toEqual([]);
});

/** Puts acme's mark and some evidence where answers show it. */
async function mark(): Promise<void> {
  const at = new Date(service.desk.clock.time);
  const text = sql.lit(MARK.acme);
  for (const statement of [
    sql`update sites set name = ${text}`,
    sql`update releases set published_by = ${text}`,
    sql`update chargers set running_version = ${text}, running_sha256 = (select sha256 from releases)`,
    // One to be adopted.
    sql`update chargers set running_version = '1.0.0', running_sha256 = null where serial = 'DC-0005'`,
    sql`update assignments set detail = ${text}, code = ${text}, state = 'FAILED'`,
    sql`update products set hardware = array['dc150-r2', ${text}]`,
    sql`update repository set roles = jsonb_build_object(${text}, 1)`,
    sql`insert into signal_bins values ('acme', ${id}, 'fault', ${at}, 3, 10, 2, 20)`,
    sql`insert into hard_events values ('acme', ${id}, 'DC-0000', 'site-0', ${text}, ${at})`,
    sql`insert into step_exposure values ('acme', ${id}, 0, 5)`,
  ]) {
    await statement.execute(service.db);
  }
  await service.request('ada', 'PUT', `/uploads/${uploaded}`, { raw: 'one file' });
}

async function mirror(): Promise<void> {
  const at = new Date(service.desk.clock.time);
  await service.db
    .insertInto('organisations')
    .values({ id: 'volta', name: 'Volta', created_at: at })
    .execute();
  await service.addPerson('volta', 'eve', ['admin', 'operator', 'release-engineer']);
  await service.addPerson('volta', 'alice', ['operator']);
  for (const table of MIRRORED) {
    await sql`
      insert into ${sql.table(table)}
      select (jsonb_populate_record(null::${sql.table(table)},
        replace(replace(to_jsonb(x)::text, '"organisation": "acme"', '"organisation": "volta"'),
          ${MARK.acme}, ${MARK.volta})::jsonb
        || ${table === 'assignments' ? sql`jsonb_build_object('id', 'volta-' || x.serial)` : sql`'{}'::jsonb`}
        || ${table === 'chargers' ? sql`'{"certificate_sha256": null}'::jsonb` : sql`'{}'::jsonb`})).*
      from ${sql.table(table)} x where organisation = 'acme'`.execute(service.db);
  }
  const entry = { actor: 'eve', action: 'x', subject: id, reason: MARK.volta, source: '::1', detail: {} };
  await inTransaction(service.db, (trx) => appendAudit(trx, 'volta', [entry], at));
}

/** Every row of an organisation, in every table that has one. */
async function rowsOf(organisation: string): Promise<unknown> {
  const { rows: tables } = await sql<{ name: string }>`
    select table_name as name from information_schema.columns
    where column_name = 'organisation' and table_schema = 'public' order by 1`.execute(service.db);
  expect(tables.length).toBeGreaterThan(15);
  const all: Record<string, unknown> = {};
  for (const { name } of tables) {
    const { rows } = await sql`
      select x::text as row from ${sql.table(name)} x where organisation = ${organisation} order by 1`.execute(
      service.db,
    );
    all[name] = rows;
  }
  return all;
}

function reads(): string[] {
  const pages = ['/sites', '/fleet', '/releases', '/rollouts', `/rollouts/${id}/assignments`];
  return [
    ...Object.values(lines()).flatMap((line) => (line.expect === 'mirror' ? [line.path] : [])),
    // The second page begins after a name that both have.
    ...pages.map((path) => `${path}?limit=1&after=${path === '/rollouts' ? id : 'A'}`),
    `/rollouts/${id}/assignments?state=FAILED`,
    `/rollouts?product=${PRODUCT}`,
  ];
}

const textOf = (path: string, { body }: Answer) => `${path}: ${JSON.stringify(body)}`;

interface Line {
  path: string;
  body?: unknown;
  raw?: string;
  /**
   * - `mirror`: her answer is acme's with her own mark.
   * - `own`: it holds nothing of acme's; it cannot be a mirror.
   * - `changes`: it is carried out, on her own rows.
   * - a code: it is refused with it, although acme's people would not be.
   */
  expect: 'mirror' | 'own' | 'changes' | 'NOT_FOUND' | 'WRONG_STATUS' | 'METADATA_REFUSED';
}

function lines(): Record<string, Line> {
  const rollout = (action: string, expected: Line['expect']): Line => ({
    path: `/rollouts/${id}/${action}`,
    body: {},
    expect: expected,
  });
  const place = { product: PRODUCT, hardware: 'dc150-r2', site: 'site-0' };
  const site = { type: 'depot', region: 'de', timeZone: 'Europe/Berlin' };
  return {
    'get /whoami': { path: '/whoami', expect: 'own' },
    'get /operators': { path: '/operators', expect: 'own' },
    'get /audit': { path: `/audit?subject=${id}`, expect: 'own' },
    'get /audit/verify': { path: '/audit/verify', expect: 'own' },
    'get /openapi.json': { path: '/openapi.json', expect: 'mirror' },
    'get /sites': { path: '/sites', expect: 'mirror' },
    'get /fleet': { path: '/fleet', expect: 'mirror' },
    'get /fleet/:serial': { path: '/fleet/DC-0000', expect: 'mirror' },
    'get /products': { path: '/products', expect: 'mirror' },
    'get /releases': { path: '/releases', expect: 'mirror' },
    'get /releases/:product/:version': { path: `/releases/${PRODUCT}/1.0.0`, expect: 'mirror' },
    'get /rollouts': { path: '/rollouts', expect: 'mirror' },
    'get /rollouts/:id': { path: `/rollouts/${id}`, expect: 'mirror' },
    'get /rollouts/:id/assignments': { path: `/rollouts/${id}/assignments`, expect: 'mirror' },
    'get /rollouts/:id/why': { path: `/rollouts/${id}/why`, expect: 'mirror' },
    'get /alarms': { path: '/alarms', expect: 'mirror' },
    'get /repository': { path: '/repository', expect: 'mirror' },
    'get /repository/collectable': { path: '/repository/collectable', expect: 'NOT_FOUND' },
    'post /repository/collect': { path: '/repository/collect', body: {}, expect: 'NOT_FOUND' },
    'get /repository/take-over': { path: '/repository/take-over', expect: 'NOT_FOUND' },
    'post /repository/take-over': { path: '/repository/take-over', body: { over: 1 }, expect: 'NOT_FOUND' },
    // One service holds one repository: acme's.
    'get /uploads/:sha256': { path: `/uploads/${uploaded}`, expect: 'NOT_FOUND' },
    'put /uploads/:sha256': { path: `/uploads/${uploaded}`, raw: 'one file', expect: 'NOT_FOUND' },
    'post /publications': { path: '/publications', body: {}, expect: 'NOT_FOUND' },
    'post /operators': { path: '/operators', body: { name: 'bob', roles: ['viewer'] }, expect: 'changes' },
    'post /operators/:name/confirm': { path: '/operators/bob/confirm', body: {}, expect: 'own' },
    'post /operators/:name/revoke': { path: '/operators/alice/revoke', body: {}, expect: 'changes' },
    'post /sites': { path: '/sites', body: { id: 'quay', ...site }, expect: 'changes' },
    'post /fleet/tokens': { path: '/fleet/tokens', body: { serial: 'N-1', ...place }, expect: 'changes' },
    'post /fleet/adopt': {
      path: '/fleet/adopt',
      body: { product: PRODUCT, version: '1.0.0' },
      expect: 'changes',
    },
    'post /fleet/:serial/retire': { path: '/fleet/DC-0007/retire', body: {}, expect: 'changes' },
    'post /fleet/:serial/replace': {
      path: '/fleet/DC-0006/replace',
      body: { with: 'N-2' },
      expect: 'changes',
    },
    'post /rollouts': {
      path: '/rollouts',
      body: { product: PRODUCT, version: '1.0.0', plan: { ...PLAN, waves: [] }, draft: true },
      expect: 'changes',
    },
    'post /rollouts/:id/submit': rollout('submit', 'WRONG_STATUS'),
    'post /rollouts/:id/approve': rollout('approve', 'own'),
    'post /rollouts/:id/cancel': rollout('cancel', 'WRONG_STATUS'),
    'post /rollouts/:id/pause': rollout('pause', 'changes'),
    'post /rollouts/:id/resume': rollout('resume', 'changes'),
    'post /rollouts/:id/halt': rollout('halt', 'changes'),
    'get /rollouts/:id/events': { path: `/rollouts/${id}/events`, expect: 'own' },
    'post /rollouts/:id/rollback': rollout('rollback', 'changes'),
  };
}

function ask(who: string, route: string, { path, body, raw }: Line): Promise<Answer> {
  const [method = ''] = route.split(' ');
  const options = raw === undefined ? { body: body && { ...body, reason } } : { raw };
  return service.request(who, method.toUpperCase(), path, method === 'get' ? {} : options);
}

test('every route is in the table', () => {
  const routes = OPERATOR_ROUTES.map(({ method, path }) => `${method} ${path}`);
  expect(Object.keys(lines()).sort()).toEqual(routes.sort());
});

test('who reads sees the mirror: their own mark, their own sums', async () => {
  for (const path of reads()) {
    const his = await service.get('ada', path);
    const hers = await service.get(HERS, path);
    // Soft: one run names every route that mixes them.
    expect.soft([path, his.status, hers.status]).toEqual([path, 200, 200]);
    expect.soft(textOf(path, his)).toBe(alone.get(path));
    expect.soft(textOf(path, hers)).toBe(textOf(path, his).replaceAll(MARK.acme, MARK.volta));
  }
  // Figures that are looked up, and not added up, show only where they differ.
  const differ = async (by: number) => {
    for (const statement of [
      sql`update step_counts set chargers = chargers + ${by} where organisation = 'volta'`,
      sql`update step_exposure set treated_charger_hours = treated_charger_hours + ${by} where organisation = 'volta'`,
    ])
      await statement.execute(service.db);
  };
  await differ(7);
  const path = `/rollouts/${id}`;
  expect(textOf(path, await service.get('ada', path))).toBe(alone.get(path));
  await differ(-7);
  // Lest the mirror be empty.
  expect((await service.get(HERS, `/rollouts/${id}/why`)).body).toMatchObject({
    signals: expect.arrayContaining([
      expect.objectContaining({ signal: 'fault', treated: { events: 3, exposure: 10 } }),
    ]) as unknown,
    hard: { chargers: 1, sites: 1 },
    failed: [{ detail: MARK.volta }, { detail: MARK.volta }],
  });
});

test('who they are and what they did is each their own', async () => {
  const audit = await service.get(HERS, `/audit?subject=${id}`);
  expect(audit.body.items).toMatchObject([{ actor: 'eve', reason: MARK.volta }]);
  expect((await service.get('ada', `/audit?subject=${id}`)).body.items?.length).toBeGreaterThan(1);
  expect((await service.get(HERS, '/audit')).body.items).not.toContainEqual(
    expect.objectContaining({ reason: MARK.acme }),
  );
  const people = (await service.get(HERS, '/operators')).body.items ?? [];
  expect(people.map(({ name }) => name)).toEqual(['alice', 'eve']);
  expect((await service.get(HERS, '/whoami')).body).toMatchObject({ organisation: 'volta', name: 'eve' });
});

test('who writes changes their own rows alone, with the same names in both', async () => {
  const before = await rowsOf('acme');
  const { blobs, staging } = await service.desk.state();
  for (const [route, line] of Object.entries(lines())) {
    if (route.startsWith('get ')) continue;
    const own = await rowsOf('volta');
    const { status, body } = await ask(HERS, route, line);
    if (line.expect === 'changes') {
      expect([route, status < 300, body.code]).toEqual([route, true, undefined]);
      expect([route, await rowsOf('volta')]).not.toEqual([route, own]);
    } else if (line.expect !== 'own') {
      expect([route, body.code]).toEqual([route, line.expect]);
      expect(await rowsOf('volta')).toEqual(own);
    }
    expect([route, await rowsOf('acme')]).toEqual([route, before]);
  }
  expect(await service.desk.state()).toMatchObject({ blobs, staging });
});

test('a stream shows the mirror too, and a credential of one is no credential of the other', async () => {
  const open = (who: string) =>
    fetch(`${service.origin}/operator/v1/rollouts/${id}/events`, {
      headers: { authorization: `Bearer ${service.credentialOf(who)}` },
    });
  const first = async (who: string) => {
    const stream = (await open(who)).body?.getReader();
    const { value } = (await stream?.read()) ?? {};
    await stream?.cancel();
    return new TextDecoder().decode(value);
  };
  // Hers was halted above and is on its way back; his still runs.
  expect(await first(HERS)).toContain('"status":"ROLLING_BACK"');
  expect(await first('ada')).toContain('"status":"RUNNING"');
});
