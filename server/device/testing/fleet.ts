/** A small fleet on a real database, with chargers that call a real service over TLS. */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import type {
  CheckIn,
  CheckInAnswer,
  Clock,
  Confirm,
  ConfirmAnswer,
  Directive,
  HealthReport,
} from '@tidegate/client-sdk/protocol';
import {
  type AssignmentState,
  type Rollout,
  cohortKey,
  createRollout,
  decide,
  parsePlan,
} from '@tidegate/rollout/core';
import { generateKey } from '@tidegate/signer/keys';
import { memoryBlobs } from '@tidegate/signer/repository';
import { testDatabase } from '../../../test/support/postgres.ts';
import { type Db, PgRolloutStore } from '../../db/index.ts';
import { DeviceAuthority } from '../../identity/index.ts';
import { type DeviceConfig, type DeviceDeps, deviceRouter } from '../index.ts';
import { type Answer, type ClientCertificate, type TestService, newKeyAndRequest, serve } from './service.ts';

export const ORG = 'acme';
export const PRODUCT = 'acme.dc150';
export const HARDWARE = 'dc150-r2';
export const OLD = 'a'.repeat(64);
export const NEW = 'b'.repeat(64);
/** Two segments of time pass in the tests: before a rollout begins, and after. */
export const START = Date.parse('2026-11-22T06:00:00Z');
const HOUR = 3_600_000;

export class TestClock implements Clock {
  ms = START;
  now = () => this.ms;
  sleep = () => Promise.resolve();
  pass(hours: number): void {
    this.ms += hours * HOUR;
  }
}

export interface Fleet {
  db: Db;
  deps: DeviceDeps;
  clock: TestClock;
  service: TestService;
  store: PgRolloutStore;
  rings: string[];
  close(): Promise<void>;
}

export async function makeFleet(config: Partial<DeviceConfig> = {}): Promise<Fleet> {
  const { db } = await testDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-device-'));
  const clock = new TestClock();
  const wall: Clock = { now: () => Date.now(), sleep: () => Promise.resolve() };
  const rings: string[] = [];
  const deps: DeviceDeps = {
    organisation: ORG,
    db,
    clock,
    wall,
    director: generateKey(),
    authority: await DeviceAuthority.open(folder, wall),
    blobs: memoryBlobs(),
    doorbell: { ring: (ref) => Promise.resolve(void rings.push(ref.id)) },
    report: (error) => {
      throw error;
    },
    config: { ringEveryMs: 1, ...config },
  };
  const service = await serve(deviceRouter(deps), deps.authority);
  await seed(db, ORG, deps.director.keyId);
  const close = async () => {
    await service.close();
    await rm(folder, { recursive: true });
  };
  return { db, deps, clock, service, store: new PgRolloutStore(db, clock), rings, close };
}

/** Organisation, sites, product, two releases and a published repository. */
export async function seed(db: Db, organisation: string, keyId: string): Promise<void> {
  const at = new Date(START);
  await db
    .insertInto('organisations')
    .values({ id: organisation, name: organisation, created_at: at })
    .execute();
  for (const id of ['berlin', 'paris', 'rome']) {
    const site = { id, name: id, type: 'depot', region: 'eu', time_zone: 'Europe/Berlin', created_at: at };
    await db
      .insertInto('sites')
      .values({ organisation, ...site })
      .execute();
  }
  const product = { organisation, id: PRODUCT, hardware: [HARDWARE], created_at: at };
  await db.insertInto('products').values(product).execute();
  for (const [version, sha256] of [
    ['1.0.0', OLD],
    ['1.1.0', NEW],
  ] as const) {
    const path = `${PRODUCT}/fw-${version}.bin`;
    const fallback =
      sha256 === NEW
        ? [{ path: `${PRODUCT}/fw-1.0.0.bin`, sha256: OLD, expires: '2027-06-01T00:00:00Z', auto: true }]
        : [];
    const custom = { product: PRODUCT, version, hardware: [HARDWARE], securityVersion: 1, fallback };
    await db
      .insertInto('releases')
      .values({
        organisation,
        product: PRODUCT,
        version,
        path,
        sha256,
        length: 1000,
        security_version: 1,
        custom: JSON.stringify({ ...custom, bundles: [], notes: '', sbom: null, cves: [] }),
        role_version: 1,
        published_by: 'ann',
        published_at: at,
      })
      .execute();
  }
  const key = { keyId, publicKey: '', state: 'active' };
  const policy = {
    _type: 'tidegate-policy',
    version: 1,
    directors: { [organisation]: { epoch: 3, keys: [key] } },
  };
  await db
    .insertInto('repository')
    .values({
      organisation,
      root_version: 2,
      targets_version: 1,
      snapshot_version: 5,
      timestamp_version: 7,
      timestamp_json: '{"signed":{"version":7}}',
      timestamp_expires_at: at,
      policy: JSON.stringify(policy),
      roles: '{}',
      updated_at: at,
    })
    .execute();
}

export interface TestCharger {
  serial: string;
  client: ClientCertificate;
}

export async function addCharger(
  fleet: Fleet,
  serial: string,
  site = 'berlin',
  organisation = ORG,
): Promise<TestCharger> {
  const { key, csr } = await newKeyAndRequest();
  const issued = await fleet.deps.authority.issueCharger(csr, { organisation, serial });
  await fleet.db
    .insertInto('chargers')
    .values({
      organisation,
      serial,
      site,
      product: PRODUCT,
      hardware: HARDWARE,
      state: 'ACTIVE',
      stratum: 's',
      cohort_key: cohortKey(serial),
      certificate_sha256: issued.sha256,
      running_sha256: OLD,
    })
    .execute();
  return { serial, client: { key, cert: issued.certificate } };
}

export function addChargers(
  fleet: Fleet,
  count: number,
  site = 'berlin',
  prefix = site,
): Promise<TestCharger[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => addCharger(fleet, `${prefix}-${i}`, site)));
}

/** A running rollout of `NEW` whose canary has drawn every one of these chargers. */
export async function startRollout(
  fleet: Fleet,
  chargers: readonly TestCharger[],
  limits = { perSite: 10, inFlight: 100 },
): Promise<string> {
  const id = `r-${randomUUID().slice(0, 8)}`;
  const now = fleet.clock.now();
  const parsed = parsePlan({
    canary: { size: { count: chargers.length || 1 } },
    holdBack: { count: 1 },
    limits,
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const created = createRollout({
    id,
    organisation: ORG,
    product: PRODUCT,
    release: { path: `${PRODUCT}/fw-1.1.0.bin`, version: '1.1.0', sha256: NEW, length: 1000 },
    author: 'ann',
    plan: parsed.plan,
    seed: 's',
    population: 10_000,
    now,
  });
  if (!created.ok) throw new Error(JSON.stringify(created.problems));
  const steps = created.rollout.steps.map((step, i) =>
    i === 0 ? { ...step, status: 'OPEN' as const, openedAt: now } : step,
  );
  const rollout: Rollout = { ...created.rollout, steps, current: 0, status: 'RUNNING' };
  await fleet.db
    .insertInto('rollouts')
    .values({
      organisation: ORG,
      id,
      product: PRODUCT,
      version: '1.1.0',
      status: 'RUNNING',
      revision: 1,
      state: JSON.stringify(rollout),
      created_at: new Date(now),
    })
    .execute();
  for (const { serial } of chargers) await assign(fleet, id, serial);
  return id;
}

async function assign(fleet: Fleet, rollout: string, serial: string): Promise<void> {
  await sql`insert into assignments (organisation, rollout, serial, id, step, site, state, from_sha256, updated_at)
    select organisation, ${rollout}, serial, ${`a-${randomUUID()}`}, 0, site, 'PENDING', ${OLD}, ${new Date(START)}
    from chargers where organisation = ${ORG} and serial = ${serial}`.execute(fleet.db);
  await sql`insert into step_counts (organisation, rollout, step, state, chargers)
    values (${ORG}, ${rollout}, 0, 'PENDING', 1)
    on conflict (organisation, rollout, step, state) do update set chargers = step_counts.chargers + 1`.execute(
    fleet.db,
  );
}

/** What a person does to a rollout, with all that follows of it. */
export async function act(
  fleet: Fleet,
  id: string,
  kind: 'halt' | 'pause' | 'resume' | 'rollback',
): Promise<void> {
  const ref = { organisation: ORG, id };
  const found = await fleet.store.load(ref);
  if (found === undefined) throw new Error(id);
  const now = fleet.clock.now();
  const decision = decide(found.rollout, { kind, by: 'bob', reason: 'test' }, now);
  if (!decision.ok) throw new Error(decision.code);
  const { rollout, effects } = decision;
  const committed = await fleet.store.commit({
    rollout,
    revision: found.revision,
    effects,
    audit: [],
    due: null,
  });
  if (committed === 'conflict') throw new Error('conflict');
  for (const effect of await fleet.store.pending(ref)) await fleet.store.perform(ref, effect.id, now);
}

export const newNonce = (): string => randomBytes(16).toString('base64url');

export function checkInBody(change: Partial<CheckIn> = {}): CheckIn {
  return {
    nonce: newNonce(),
    running: { sha256: OLD, version: '1.0.0', securityVersion: 1 },
    marks: { root: 1, timestamp: 1 },
    charging: false,
    reports: [],
    ...change,
  };
}

/** One hour of health that ends `hoursAgo`. */
export function report(
  fleet: Fleet,
  sequence: number,
  change: Partial<HealthReport> = {},
  hoursAgo = 0,
): HealthReport {
  const to = fleet.clock.now() - hoursAgo * HOUR;
  return {
    sequence,
    from: new Date(to - HOUR).toISOString(),
    to: new Date(to).toISOString(),
    sha256: OLD,
    exposure: { chargerHours: 1, connectorHours: 2, attempts: 4, transactions: 4 },
    events: [],
    ...change,
  };
}

export type Said = CheckInAnswer & { said: Directive };

/** Checks in and reads the directive; throws the problem's code when refused. */
export async function checkIn(
  fleet: Fleet,
  charger: TestCharger,
  change: Partial<CheckIn> = {},
): Promise<Said> {
  const body = checkInBody(change);
  const answer = await fleet.service.call('POST', '/device/v1/check-in', { client: charger.client, body });
  const value = accepted(answer) as CheckInAnswer;
  return { ...value, said: directiveOf(value) };
}

export async function confirm(
  fleet: Fleet,
  charger: TestCharger,
  assignment: string,
  sha256 = NEW,
): Promise<Directive> {
  const body: Confirm = { nonce: newNonce(), assignment, sha256 };
  const answer = await fleet.service.call('POST', '/device/v1/confirm', { client: charger.client, body });
  return directiveOf(accepted(answer) as ConfirmAnswer);
}

export function accepted({ status, json }: Answer): unknown {
  if (status !== 200) throw new Error((json as { code: string }).code);
  return json;
}

export function directiveOf(answer: Pick<CheckInAnswer, 'directive'>): Directive {
  return JSON.parse(Buffer.from(answer.directive.payload, 'base64').toString()) as Directive;
}

export async function stateOf(
  fleet: Fleet,
  rollout: string,
  serial: string,
): Promise<AssignmentState | undefined> {
  const row = await fleet.db
    .selectFrom('assignments')
    .select('state')
    .where('rollout', '=', rollout)
    .where('serial', '=', serial)
    .executeTakeFirst();
  return row?.state;
}

/** The counters say what the rows say. */
export async function countersAreTrue(db: Db): Promise<boolean> {
  const { rows } = await sql<{ wrong: number }>`
    select count(*) as wrong from (
      select rollout, step, state, count(*) as chargers from assignments group by 1, 2, 3
    ) rows full join (select * from step_counts where chargers <> 0) counts using (rollout, step, state)
    where rows.chargers is distinct from counts.chargers`.execute(db);
  return rows[0]?.wrong === 0;
}

/** Rollouts are gone, and chargers too unless they are kept: those run what they ran at first. */
export async function forget({ db }: Fleet, keep: { chargers?: boolean } = {}): Promise<void> {
  const tables = [
    'hard_events',
    'treated_events',
    'treated_exposure',
    'signal_bins',
    'step_exposure',
    'step_counts',
    'assignments',
    'outbox',
    'rollouts',
    'last_events',
  ] as const;
  for (const table of tables) await db.deleteFrom(table).execute();
  if (keep.chargers === true) {
    await db.updateTable('chargers').set({ running_sha256: OLD, charging: false }).execute();
  } else {
    await db.deleteFrom('chargers').execute();
  }
  await db.updateTable('releases').set({ yanked_at: null, refused: null }).execute();
}

/** Puts a rollout where a test needs it, by whatever way it got there; its current step gets the status `step`. */
export async function arrange(
  fleet: Fleet,
  id: string,
  change: Partial<Rollout>,
  step?: Rollout['steps'][number]['status'],
): Promise<void> {
  const found = await fleet.store.load({ organisation: ORG, id });
  if (found === undefined) throw new Error(id);
  const { rollout } = found;
  const steps = rollout.steps.map((each, i) =>
    i === 0 && step !== undefined ? { ...each, status: step } : each,
  );
  const state: Rollout = { ...rollout, steps, ...change };
  await fleet.db
    .updateTable('rollouts')
    .set({
      state: JSON.stringify(state),
      status: state.status,
      created_at: new Date(state.createdAt),
      due_at: new Date(0),
    })
    .where('id', '=', id)
    .execute();
}
