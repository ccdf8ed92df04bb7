/** A database that was restored from a backup beside a newer store goes on from what the store holds. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { metadataKey } from '@tidegate/signer/repository';
import { TrustedSet } from '@tidegate/client-sdk/trust';
import { testDatabase } from '../../test/support/postgres.ts';
import { findBlob } from './current.ts';
import { Desk, PRODUCT, text } from './desk.fixture.ts';
import { findTakeOver, isFenced, publish, type PublishingDeps, refreshOnline, takeOver } from './index.ts';
import { restoredFrom } from './restored.fixture.ts';

const BY = { name: 'alice', reason: 'restored', source: 'here' };
const OTHER = 'acme.ac22';
const DAY = 24 * 60 * 60 * 1000;
let desk: Desk;
let old: PublishingDeps;

beforeEach(async () => {
  desk = await Desk.open((await testDatabase()).db, 'acme', [PRODUCT, OTHER]);
  await desk.bootstrap();
  await desk.release(await desk.buildRelease('1.0.0'));
  old = await restoredFrom(desk.deps, (await testDatabase()).db);
});
afterEach(() => desk.close());

/** A charger that has seen what the original published sees this. */
async function follow(before?: { timestamp: Buffer; snapshot: Buffer }) {
  const must = async (key: string): Promise<Buffer> => (await findBlob(desk.deps.blobs, key))!;
  const { root_version: first } = await old.db.selectFrom('repository').selectAll().executeTakeFirstOrThrow();
  const set = TrustedSet.start(await must(metadataKey('root', first)));
  if (before !== undefined) {
    set.recallTimestamp(before.timestamp);
    set.recallSnapshot(before.snapshot);
  }
  const timestamp = await must('metadata/timestamp.json');
  set.updateTimestamp(timestamp, desk.clock.time);
  const snapshot = await must(metadataKey('snapshot', set.timestamp.snapshot.version));
  set.updateSnapshot(snapshot, desk.clock.time);
  const version = (role: string) => set.snapshot.meta.get(`${role}.json`)?.version ?? 0;
  set.updateTargets(await must(metadataKey('targets', version('targets'))), desk.clock.time);
  set.updateProductRole(PRODUCT, await must(metadataKey(PRODUCT, version(PRODUCT))), desk.clock.time);
  const role = version(PRODUCT);
  return { timestamp, snapshot, role, at: set.timestamp.version };
}

const rows = (deps: PublishingDeps) => deps.db.selectFrom('repository').selectAll().execute();
const releases = (deps: PublishingDeps) =>
  deps.db.selectFrom('releases').select(['version', 'yanked_at']).orderBy('version').execute();
/** More than a publication may pass over otherwise. */
async function publishMuch(): Promise<void> {
  for (let i = 0; i < 34; i++) await desk.publishRole(await desk.listReleases([]));
}

test('it learns roles, releases, trust and roots, signs above them, and the original is fenced', async () => {
  await desk.send({ roots: [await desk.nextRoot()] });
  await publishMuch();
  await desk.send(await desk.signTrust({ ...desk.policy, version: 2 }));
  await desk.release(await desk.buildRelease('1.1.0'));
  const before = await follow();
  const state = [await desk.state(), await rows(old), await releases(old)];
  const found = await findTakeOver(old);
  expect(found).toMatchObject({
    fenced: true,
    over: before.at,
    added: [`${PRODUCT}/dc150-1.1.0.img`],
    roles: expect.arrayContaining([
      { role: 'root', from: 1, to: 2 },
      { role: 'targets', from: 1, to: 2 },
      { role: PRODUCT, from: 2, to: 37 },
    ]) as unknown,
  });
  expect([await desk.state(), await rows(old), await releases(old)]).toEqual(state);

  expect(await takeOver(old, found.over, BY)).toEqual(found);
  const after = await follow(before);
  expect(after.at).toBeGreaterThan(before.at);
  expect(after.role).toBe(before.role);
  const columns = ['root_version', 'targets_version', 'roles', 'policy'] as const;
  const [mine] = await rows(old);
  const [theirs] = await rows(desk.deps);
  for (const column of columns) expect(mine?.[column]).toEqual(theirs?.[column]);
  expect(await releases(old)).toEqual(await releases(desk.deps));
  expect([await isFenced(old), await isFenced(desk.deps)]).toEqual([false, true]);
  const told = await old.db
    .selectFrom('audit')
    .selectAll()
    .where('action', '=', 'repository.take-over')
    .execute();
  expect(told).toMatchObject([{ actor: 'alice', reason: 'restored', detail: { over: found.over } }]);
  // It goes on as if nothing had been.
  desk.clock.time += DAY;
  expect(await refreshOnline(old)).toBe(true);
  const role = await desk.listReleases([await desk.buildRelease('1.1.0')].slice(1));
  const whole = { roots: [], targets: null, policy: null, sigstoreRoot: null, strand: [] };
  await publish(old, { ...whole, products: { [PRODUCT]: text(role) } }, BY);
  expect((await follow(after)).role).toBe(before.role + 1);
  expect(await findTakeOver(old)).toMatchObject({ fenced: false });
});

test('where only the online roles moved, that is all there is to it', async () => {
  desk.clock.time += DAY;
  await refreshOnline(desk.deps);
  const before = await follow();
  const { over } = await findTakeOver(old);
  await takeOver(old, over, BY);
  expect((await follow(before)).at).toBeGreaterThan(before.at);
  expect(await isFenced(old)).toBe(false);
});

test('what has expired, and what the policy refuses by now, is taken over all the same', async () => {
  await desk.release(await desk.buildRelease('1.1.0'));
  const [{ sha256 } = { sha256: '' }] = await desk.deps.db
    .selectFrom('releases')
    .select('sha256')
    .where('version', '=', '1.1.0')
    .execute();
  await desk.send({
    ...(await desk.signTrust({ ...desk.policy, version: 2, denied: { digests: [sha256], signers: [] } })),
    strand: [`${PRODUCT}/dc150-1.1.0.img`],
  });
  desk.clock.time += 100 * DAY;
  const { over } = await findTakeOver(old);
  await takeOver(old, over, BY);
  expect(await isFenced(old)).toBe(false);
  expect(await releases(old)).toEqual(await releases(desk.deps));
});

test('a yank and a product that went are learnt too', async () => {
  const { targets, ...signed } = desk.role().signed;
  expect(Object.keys(targets)).toHaveLength(1);
  const without = { signed: { ...signed, version: signed.version + 1, targets: {} }, signatures: [] };
  await desk.publishRole(await desk.signRole(without));
  const { delegations = { keys: {}, roles: [] } } = desk.targets.signed;
  const roles = delegations.roles.filter(({ name }) => name !== OTHER);
  desk.targets.signed.delegations = { ...delegations, roles };
  await desk.send(await desk.signTrust({ ...desk.policy, version: 2 }));
  const before = await follow();
  const found = await findTakeOver(old);
  expect(found.roles).toContainEqual({ role: OTHER, from: 1, to: 0 });
  expect(found.yanked).toEqual([`${PRODUCT}/dc150-1.0.0.img`]);
  await takeOver(old, found.over, BY);
  expect((await releases(old))[0]?.yanked_at).not.toBeNull();
  // The snapshot goes on listing it: chargers refuse one from which a file has gone.
  await follow(before);
  expect((await rows(old))[0]?.roles).toEqual({ [PRODUCT]: 3 });
});

test('it is refused, and changes nothing, when the other service has written since somebody looked', async () => {
  await desk.publishRole(await desk.listReleases([]));
  const { over } = await findTakeOver(old);
  desk.clock.time += DAY;
  await refreshOnline(desk.deps);
  const before = [await desk.state(), await rows(old)];
  await expect(takeOver(old, over, BY)).rejects.toMatchObject({ code: 'CONFLICT' });
  expect([await desk.state(), await rows(old)]).toEqual(before);
});

test('one that writes at the very moment wins, and nothing is recorded', async () => {
  await desk.publishRole(await desk.listReleases([]));
  const { over } = await findTakeOver(old);
  const before = await rows(old);
  const { blobs } = old;
  const slow = {
    ...blobs,
    put: async (...args: Parameters<typeof blobs.put>) => {
      const stat = await blobs.put(...args);
      desk.clock.time += DAY;
      await refreshOnline(desk.deps);
      return stat;
    },
  };
  await expect(takeOver({ ...old, blobs: slow }, over, BY)).rejects.toMatchObject({
    code: 'REPOSITORY_FENCED',
  });
  expect(await rows(old)).toEqual(before);
});

test("a store that is older than the database, or that is another organisation's, is not followed", async () => {
  const there = await follow();
  for (let i = 0; i < 2; i++) await desk.publishRole(await desk.listReleases([]));
  const ahead = await restoredFrom(desk.deps, (await testDatabase()).db);
  await desk.publishRole(await desk.listReleases([]));
  // The store's timestamp of before, as a restored store has it.
  await desk.deps.blobs.put('metadata/timestamp.json', there.timestamp, { replace: 'any' });
  await expect(takeOver(ahead, there.at, BY)).rejects.toMatchObject({ code: 'METADATA_REFUSED' });
  const other = await Desk.open((await testDatabase()).db, 'other');
  await other.bootstrap();
  const stranger = (await findBlob(other.deps.blobs, 'metadata/timestamp.json'))!;
  await other.close();
  await desk.deps.blobs.put('metadata/timestamp.json', stranger, { replace: 'any' });
  await expect(findTakeOver(ahead)).rejects.toMatchObject({ code: 'METADATA_UNSIGNED' });
});
