/** Collection from a real store and database. What may go: `collect-rule.test.ts`. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bump, metadataKey, targetKey } from '@tidegate/signer/repository';
import { testDatabase } from '../../test/support/postgres.ts';
import { type Built, Desk, PRODUCT, START } from './desk.fixture.ts';
import { collectGarbage, findCollectable, KEEP_DAYS, refreshOnline } from './index.ts';

const DAY = 24 * 60 * 60 * 1000;
const BY = { name: 'erin', reason: 'spring', source: '127.0.0.1' };
let desk: Desk;

beforeEach(async () => {
  desk = await Desk.open((await testDatabase()).db);
  await desk.bootstrap();
});
afterEach(() => desk.close());

async function yank(...built: Built[]): Promise<void> {
  const role = bump(desk.role(), 'product', desk.clock.time);
  const gone = new Set(built.map(({ target }) => target.path));
  const kept = Object.entries(role.signed.targets).filter(([path]) => !gone.has(path));
  const next = { ...role, signed: { ...role.signed, targets: Object.fromEntries(kept) } };
  await desk.publishRole(await desk.signRole(next));
}

const fileOf = ({ target }: Built) => targetKey(target.path, target.sha256);
const there = async (key: string) => (await desk.deps.blobs.stat(key)) !== undefined;

async function addCharger(running: Built): Promise<void> {
  const { db } = desk.deps;
  const at = new Date(START);
  const site = { organisation: 'acme', id: 's', name: 's', type: 'depot', region: 'de', time_zone: 'UTC' };
  await db
    .insertInto('sites')
    .values({ ...site, created_at: at })
    .execute();
  const charger = { organisation: 'acme', serial: 'A1', product: PRODUCT, hardware: 'dc150-r2', site: 's' };
  const { sha256, custom } = running.target;
  await db
    .insertInto('chargers')
    .values({
      ...charger,
      state: 'ACTIVE',
      stratum: 'x',
      cohort_key: 1,
      running_sha256: sha256,
      running_version: custom.version,
    })
    .execute();
}

/** Lets the time go by as a service does that refreshes its roles. */
async function later(days: number): Promise<void> {
  desk.clock.time += days * DAY;
  await refreshOnline(desk.deps);
}

test('what was yanked long ago goes with its role, and nothing that is run, listed or current', async () => {
  const [gone, run, listed] = [
    await desk.buildRelease('1.0.0'),
    await desk.buildRelease('1.1.0'),
    await desk.buildRelease('1.2.0'),
  ];
  await desk.release(gone, run, listed);
  await addCharger(run);
  await yank(gone, run);
  expect(await findCollectable(desk.deps)).toEqual({ timestamps: [], documents: [], releases: [] });
  await later(KEEP_DAYS - 1);
  expect(await collectGarbage(desk.deps, BY)).toMatchObject({ documents: [], releases: [] });
  await later(2);
  const before = await desk.state();
  const found = await findCollectable(desk.deps);
  expect(await desk.state()).toEqual(before);
  expect(found.releases.map(({ path }) => path)).toEqual([gone.target.path]);
  expect(found.documents).toContain(metadataKey(PRODUCT, 2));
  expect(await collectGarbage(desk.deps, BY)).toEqual(found);
  const kept = [
    fileOf(run),
    fileOf(listed),
    metadataKey(PRODUCT, 3),
    metadataKey('root', 1),
    'metadata/timestamp.json',
  ];
  expect(await Promise.all([fileOf(gone), metadataKey(PRODUCT, 2)].map(there))).toEqual([false, false]);
  expect(await Promise.all(kept.map(there))).toEqual(kept.map(() => true));
  const audit = await desk.deps.db
    .selectFrom('audit')
    .select(['action', 'actor', 'reason', 'detail'])
    .execute();
  expect(audit.at(-1)).toMatchObject({
    action: 'repository.collect',
    actor: 'erin',
    reason: 'spring',
    detail: { releases: [gone.target.path] },
  });
  expect(await collectGarbage(desk.deps, BY)).toEqual({ timestamps: [], documents: [], releases: [] });
});

test('what was collected may be listed again once it is uploaded again', async () => {
  const built = await desk.buildRelease('1.0.0');
  await desk.release(built);
  await yank(built);
  await later(KEEP_DAYS + 1);
  await later(1);
  expect((await collectGarbage(desk.deps, BY)).releases).toHaveLength(1);
  // The offline roles have expired meanwhile.
  await desk.send({
    roots: [await desk.nextRoot()],
    ...(await desk.signTrust({ ...desk.policy, version: 2 })),
  });
  const role = await desk.listReleases([built]);
  await expect(desk.publishRole(role)).rejects.toMatchObject({ code: 'UPLOAD_MISSING' });
  await desk.release(built);
  expect(await there(fileOf(built))).toBe(true);
  expect((await findCollectable(desk.deps)).releases).toEqual([]);
});
