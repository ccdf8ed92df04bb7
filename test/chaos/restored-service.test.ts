/**
 * A service whose database, or database and store, were restored from a backup is behind what its chargers trust. It serves nothing until it is
 * above; chargers keep running, nothing is rolled back, and when people have published again what they had published, all converge. Design §3
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Agent, httpsTransport } from '@tidegate/client-sdk/agent';
import { provisionSlots, slotFiles } from '@tidegate/client-sdk/install';
import { diskFiles } from '@tidegate/client-sdk/trust';
import { SILENT_LOG } from '@tidegate/rollout/shell';
import { type Db } from '@tidegate/server/db';
import { deviceRouter } from '../../server/device/index.ts';
import { newKeyAndRequest, serve, type TestService } from '../../server/device/testing/service.ts';
import { DeviceAuthority } from '../../server/identity/index.ts';
import { type Built, Desk, PRODUCT, text } from '../../server/publishing/desk.fixture.ts';
import { loadAhead, loadVersions, Refresher } from '../../server/publishing/index.ts';
import { testDatabase } from '../support/postgres.ts';

const HOUR = 60 * 60 * 1000;
const WALL = { now: () => Date.now(), sleep: () => Promise.resolve() };
const FACTORY = { sha256: null, version: '1.0.0', securityVersion: 1 };
const SITES = ['one', 'one', 'two', 'two', 'three'];

let folder: string;
let desk: Desk;
let db: Db;
let authority: DeviceAuthority;
let service: TestService;
let chargers: Charger[];

interface Charger {
  serial: string;
  agent: Agent;
  version(): Promise<string | undefined>;
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate-restored-'));
  ({ db } = await testDatabase());
  desk = await Desk.open(db);
  await desk.bootstrap();
  const at = new Date(desk.clock.time);
  for (const id of new Set(SITES)) {
    const place = { id, name: id, type: 'depot', region: 'eu', time_zone: 'Europe/Berlin', created_at: at };
    await db
      .insertInto('sites')
      .values({ organisation: 'acme', ...place })
      .execute();
  }
  authority = await DeviceAuthority.open(join(folder, 'ca'), WALL);
  const { clock, deps, director } = desk;
  const router = deviceRouter({
    organisation: 'acme',
    db,
    clock,
    wall: WALL,
    director,
    authority,
    blobs: deps.blobs,
    doorbell: { ring: () => Promise.resolve() },
    report: (error) => {
      throw error;
    },
  });
  service = await serve(router, authority);
  chargers = [];
  for (const [i, site] of SITES.entries()) chargers.push(await makeCharger(`CP-${i}`, site));
});

afterEach(async () => {
  expect(service.errors).toEqual([]);
  await service.close();
  await desk.close();
  await rm(folder, { recursive: true });
});

test.each([['database'], ['database and store']])('with its %s restored', async (what) => {
  await desk.release(await desk.buildRelease('1.0.0'));
  await everybodyChecksIn();
  await backUp();

  desk.clock.time += 5 * HOUR;
  const rootText = await desk.nextRoot();
  const trust = await desk.signTrust({ ...desk.policy, version: 2 });
  const built = await desk.buildRelease('1.1.0');
  const role = text(await desk.listReleases([built]));
  const publishAgain = [() => desk.send({ roots: [rootText], ...trust }), () => uploadAndSend(built, role)];
  for (const publish of publishAgain) await publish();
  desk.clock.time += 9 * HOUR;
  await new Refresher(desk.deps, SILENT_LOG).run();
  await everybodyChecksIn();
  const trusted = await loadVersions(db, 'acme');

  await restore(what.includes('store'));
  expect(await loadVersions(db, 'acme')).toMatchObject({ root: 1, targets: 1, roles: { [PRODUCT]: 2 } });
  desk.clock.time += 60_000;

  // A store that is newer than the database says so: nothing is signed into it before somebody has looked.
  if (!what.includes('store')) {
    const fenced = new Refresher(desk.deps, SILENT_LOG);
    await fenced.run();
    expect(fenced.failure?.detail).toContain('REPOSITORY_FENCED');
    await takeOver();
  }
  // Two that speak are served nothing, and are not believed.
  const [one, two, three, ...others] = chargers;
  for (const charger of [one!, two!]) expect(await told(charger)).toEqual(['SERVICE_REFUSED']);
  expect((await loadAhead(db, 'acme', desk.clock.now())).map(({ credence }) => credence)).not.toContain(
    'believed',
  );
  // The third is at another site: now nobody is served, whatever the service signs.
  expect(await told(three!)).toEqual(['SERVICE_REFUSED']);
  const refresher = new Refresher(desk.deps, SILENT_LOG);
  await refresher.run();
  for (const charger of [...others, one!]) expect(await told(charger)).toEqual(['SERVICE_REFUSED']);
  const ahead = await loadAhead(db, 'acme', desk.clock.now());
  expect(
    ahead
      .filter(({ credence }) => credence === 'believed')
      .map(({ role: name, published, reported }) => [name, published, reported])
      .sort(([a], [b]) => String(a).localeCompare(String(b))),
  ).toEqual(
    expect.arrayContaining([
      ['root', 1, 2],
      ['targets', 1, 2],
      [PRODUCT, 2, 3],
    ]),
  );

  // Half of it published again is not enough.
  await publishAgain[0]!();
  await refresher.run();
  for (const charger of chargers) expect(await told(charger)).toEqual(['SERVICE_REFUSED']);
  await publishAgain[1]!();
  await refresher.run();
  for (const charger of chargers) expect(await told(charger)).toEqual([]);

  const current = await loadVersions(db, 'acme');
  expect(current).toMatchObject({ root: 2, targets: 2, roles: { [PRODUCT]: 3 } });
  expect(current?.timestamp).toBeGreaterThan(trusted?.timestamp ?? NaN);
  await everybodyChecksIn();
  const marks = await db.selectFrom('chargers').select('marks').execute();
  const { root, targets, snapshot, timestamp } = current!;
  for (const row of marks) expect(row.marks).toEqual({ root, targets, snapshot, timestamp, product: 3 });
  for (const charger of chargers) expect(await charger.version()).toBe('1.0.0');
});

test('with nothing but online roles behind, the service heals by itself', async () => {
  await everybodyChecksIn();
  await backUp();
  desk.clock.time += 13 * HOUR;
  await new Refresher(desk.deps, SILENT_LOG).run();
  await everybodyChecksIn();
  await restore(false);
  await takeOver();
  desk.clock.time += 60_000;
  // The backup's timestamp is due by now, and would be signed anyway: as if it were not.
  await db
    .updateTable('repository')
    .set({ timestamp_expires_at: new Date(desk.clock.time + 20 * HOUR), timestamp_due_at: null })
    .execute();
  const refresher = new Refresher(desk.deps, SILENT_LOG);
  await refresher.run();
  expect(await Promise.all(chargers.map(told))).toEqual(chargers.map(() => ['SERVICE_REFUSED']));
  await refresher.run();
  for (const charger of chargers) expect(await told(charger)).toEqual([]);
});

/** Codes of what it refused, or was refused, in one pass. */
async function told({ agent }: Charger): Promise<string[]> {
  const { refusals } = await agent.checkInOnce();
  return refusals.map(({ code }) => code);
}

/** Once to hear what is new, once more to say that it is trusted. */
async function everybodyChecksIn(): Promise<void> {
  for (let pass = 0; pass < 2; pass++) {
    for (const charger of chargers) expect(await told(charger)).toEqual([]);
  }
}

async function uploadAndSend(built: Built, role: string): Promise<unknown> {
  await desk.upload(built.image, built.bundle);
  return desk.send({ products: { [PRODUCT]: role } });
}

async function makeCharger(serial: string, site: string): Promise<Charger> {
  const { key, csr } = await newKeyAndRequest();
  const issued = await authority.issueCharger(csr, { organisation: 'acme', serial });
  const place = { product: PRODUCT, hardware: 'dc150-r2', site, stratum: 's', cohort_key: 1 };
  await db
    .insertInto('chargers')
    .values({ organisation: 'acme', serial, ...place, state: 'ACTIVE', certificate_sha256: issued.sha256 })
    .execute();
  const files = diskFiles(join(folder, serial));
  await provisionSlots(files, FACTORY);
  const installer = slotFiles(files);
  const agent = new Agent({
    identity: {
      organisation: 'acme',
      product: PRODUCT,
      hardware: 'dc150-r2',
      serial,
      factory: FACTORY,
      securityFloor: 1,
      buildTime: '2026-01-01T00:00:00Z',
      healthDeadline: 600,
      healthBin: 3600,
      root: Buffer.from(text(desk.root)),
    },
    files,
    installer,
    host: {
      isCharging: () => false,
      reboot: () => Promise.resolve(),
      healthy: () => Promise.resolve(true),
      collect: () => ({ exposure: {}, events: [] }),
    },
    transport: httpsTransport({
      service: `https://localhost:${service.port}`,
      ca: authority.certificate,
      client: { certificate: issued.certificate, key },
    }),
    clock: desk.clock,
  });
  return { serial, agent, version: async () => (await installer.status()).booted.image?.version };
}

/** A copy of every table, and of the store. */
async function backUp(): Promise<void> {
  await sql`create schema backup`.execute(db);
  for (const table of await tables()) {
    await sql`create table ${sql.id('backup', table)} as table ${sql.id('public', table)}`.execute(db);
  }
  await cp(join(desk.folder, 'tuf'), join(folder, 'store'), { recursive: true });
}

async function restore(store: boolean): Promise<void> {
  await db.transaction().execute(async (trx) => {
    // References are whole again at the end.
    await sql`set local session_replication_role = replica`.execute(trx);
    for (const table of await tables()) {
      await sql`delete from ${sql.id('public', table)}`.execute(trx);
      const columns = await insertable(table);
      await sql`insert into ${sql.id('public', table)} (${columns}) overriding system value
        select ${columns} from ${sql.id('backup', table)}`.execute(trx);
    }
  });
  if (!store) return;
  await rm(join(desk.folder, 'tuf'), { recursive: true });
  await cp(join(folder, 'store'), join(desk.folder, 'tuf'), { recursive: true });
}

/** What its people do once no other service writes into the store: the database's word counts again. */
function takeOver(): Promise<void> {
  return rm(join(desk.folder, 'tuf', 'metadata', 'timestamp.json'));
}

async function tables(): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select table_name as name from information_schema.tables
    where table_schema = 'public' and table_type = 'BASE TABLE' and table_name not like 'kysely%'`.execute(
    db,
  );
  return rows.map(({ name }) => name);
}

async function insertable(table: string) {
  const { rows } = await sql<{ name: string }>`select column_name as name from information_schema.columns
    where table_schema = 'public' and table_name = ${table} order by ordinal_position`.execute(db);
  return sql.join(rows.map(({ name }) => sql.id(name)));
}
