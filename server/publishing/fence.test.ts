/** Two services with databases of their own on one store: one goes on, the other is found out, and readers never notice. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BlobStore, metadataKey } from '@tidegate/signer/repository';
import { TrustedSet } from '@tidegate/client-sdk/trust';
import { testDatabase } from '../../test/support/postgres.ts';
import { findBlob } from './current.ts';
import { Desk, PRODUCT, text } from './desk.fixture.ts';
import { collectGarbage, isFenced, publish, type PublishingDeps, refreshOnline } from './index.ts';
import { restoredFrom } from './restored.fixture.ts';

const FENCED = { code: 'REPOSITORY_FENCED', status: 503 };
let desk: Desk;

beforeEach(async () => {
  desk = await Desk.open((await testDatabase()).db);
  await desk.bootstrap();
});
afterEach(() => desk.close());

const restored = async (): Promise<PublishingDeps> => restoredFrom(desk.deps, (await testDatabase()).db);

/** Sends a role through this service. */
function send(deps: PublishingDeps, role: string, product = PRODUCT) {
  const whole = { roots: [], targets: null, policy: null, sigstoreRoot: null, strand: [] };
  const by = { name: 'erin', reason: 'r', source: 's' };
  return publish(deps, { ...whole, products: { [product]: role } }, by);
}

/** Walks as a charger does. @returns the versions of timestamp and role. */
async function walk(blobs: BlobStore = desk.deps.blobs): Promise<{ timestamp: number; role: number }> {
  const must = async (key: string): Promise<Buffer> => {
    const bytes = await findBlob(blobs, key);
    if (bytes === undefined) throw new Error(`missing ${key}`);
    return bytes;
  };
  const set = TrustedSet.start(Buffer.from(text(desk.root)));
  set.updateTimestamp(await must('metadata/timestamp.json'), desk.clock.time);
  set.updateSnapshot(await must(metadataKey('snapshot', set.timestamp.snapshot.version)), desk.clock.time);
  const version = (file: string) => set.snapshot.meta.get(`${file}.json`)?.version ?? 0;
  set.updateTargets(await must(metadataKey('targets', version('targets'))), desk.clock.time);
  set.updateProductRole(PRODUCT, await must(metadataKey(PRODUCT, version(PRODUCT))), desk.clock.time);
  return { timestamp: set.timestamp.version, role: set.productRole(PRODUCT).version };
}

/** A store that does something else before its n-th operation. */
function interrupted(blobs: BlobStore, at: number, work: () => Promise<unknown>) {
  let operations = 0;
  const turn = async (): Promise<void> => {
    if (operations++ === at) await work();
  };
  const store: BlobStore = {
    put: (...args) => turn().then(() => blobs.put(...args)),
    get: (...args) => turn().then(() => blobs.get(...args)),
    stat: (...args) => turn().then(() => blobs.stat(...args)),
    remove: (...args) => turn().then(() => blobs.remove(...args)),
  };
  return { store, reached: () => operations > at };
}

test('a new service cannot begin in a store that has one', async () => {
  const { db } = await testDatabase();
  const other = await Desk.open(db);
  Object.assign(other, { deps: { ...other.deps, blobs: desk.deps.blobs } });
  const before = await desk.state();
  await expect(other.bootstrap()).rejects.toMatchObject(FENCED);
  expect(await desk.state()).toEqual(before);
  expect(await db.selectFrom('repository').selectAll().execute()).toEqual([]);
  expect(await isFenced(desk.deps)).toBe(false);
  await other.close();
});

test('a restored service is found out by whatever its original has done since, and changes nothing', async () => {
  const old = await restored();
  await desk.publishRole(await desk.listReleases([]));
  const before = await desk.state();
  const rows = await old.db.selectFrom('repository').selectAll().execute();
  expect(await isFenced(old)).toBe(true);
  await expect(send(old, text(desk.role()))).rejects.toMatchObject(FENCED);
  desk.clock.time += 24 * 60 * 60 * 1000;
  await expect(refreshOnline(old)).rejects.toMatchObject(FENCED);
  const by = { name: 'erin', reason: 'r', source: 's' };
  await expect(collectGarbage(old, by)).rejects.toMatchObject(FENCED);
  expect(await desk.state()).toEqual(before);
  expect(await old.db.selectFrom('repository').selectAll().execute()).toEqual(rows);
  expect(await isFenced(desk.deps)).toBe(false);
  await expect(refreshOnline(desk.deps)).resolves.toBe(true);
});

test('a restored service goes on when somebody takes the timestamp away and sends it what it lacks', async () => {
  const old = await restored();
  const roles = [];
  for (let i = 0; i < 3; i++) {
    roles.push(text(await desk.listReleases([])));
    await desk.publishRole(await desk.listReleases([]));
  }
  const before = await walk();
  await desk.deps.blobs.remove('metadata/timestamp.json');
  desk.clock.time += 60_000;
  for (const role of roles) await send(old, role);
  const after = await walk();
  expect(after.role).toBe(before.role);
  expect(after.timestamp).toBeGreaterThan(before.timestamp);
  expect([await isFenced(old), await isFenced(desk.deps)]).toEqual([false, true]);
});

test('of two halves of a split one goes on, wherever the other was when it wrote', async () => {
  for (let at = 0, reached = true; reached; at++) {
    const other = await restored();
    const mine = await desk.listReleases([]);
    desk.clock.time += 1000;
    const theirs = await desk.listReleases([]);
    const before = await walk();
    const second = { published: false };
    const { store, reached: wasReached } = interrupted(desk.deps.blobs, at, async () => {
      try {
        await send(other, text(theirs));
        second.published = true;
      } catch (error) {
        // The first has stored its role already, and nobody's next document takes that place; or it is through.
        expect(['ROLE_VERSION', 'REPOSITORY_FENCED']).toContain((error as { code?: string }).code);
      }
      await walk();
    });
    const outcome = await send({ ...desk.deps, blobs: store }, text(mine)).catch((error: unknown) => error);
    reached = wasReached();
    const after = await walk();
    expect(after.timestamp).toBeGreaterThan(before.timestamp);
    expect(after.role).toBe(before.role + 1);
    if (!reached || !second.published) {
      desk.roles.set(PRODUCT, mine);
      expect([await isFenced(desk.deps), outcome]).toEqual([
        false,
        expect.objectContaining({ changed: true }),
      ]);
      continue;
    }
    // The one that wrote goes on; the other has acknowledged nothing.
    expect(['REPOSITORY_FENCED', 'CONFLICT', 'ROLE_VERSION']).toContain((outcome as { code?: string }).code);
    expect([await isFenced(desk.deps), await isFenced(other)]).toEqual([true, false]);
    await expect(refreshOnline(desk.deps)).rejects.toMatchObject(FENCED);
    desk.deps = other;
    desk.roles.set(PRODUCT, theirs);
  }
});

test('one that is overtaken while its files are on their way is refused before it is recorded', async () => {
  const other = await restored();
  const mine = await desk.listReleases([]);
  desk.clock.time += 1000;
  const built = await desk.buildRelease('1.0.0');
  await desk.upload(built.image, built.bundle);
  const theirs = await desk.listReleases([built]);
  const rows = await desk.deps.db.selectFrom('repository').selectAll().execute();
  const { blobs } = desk.deps;
  const slow: BlobStore = {
    ...blobs,
    put: async (key, ...rest) => {
      if (key === metadataKey(PRODUCT, 2)) await send(other, text(theirs));
      return blobs.put(key, ...rest);
    },
  };
  const targets = await desk.signTrust({ ...desk.policy, version: 2 });
  const whole = { roots: [], ...targets, products: { [PRODUCT]: text(mine) }, strand: [] };
  const by = { name: 'erin', reason: 'r', source: 's' };
  await expect(publish({ ...desk.deps, blobs: slow }, whole, by)).rejects.toMatchObject({ code: 'CONFLICT' });
  const refreshed = refreshOnline({ ...desk.deps, blobs });
  await expect(refreshed).rejects.toMatchObject(FENCED);
  expect(await desk.deps.db.selectFrom('repository').selectAll().execute()).toEqual(rows);
});

test('one that is overtaken after its last file is refused before it is recorded', async () => {
  const other = await restored();
  const rows = await desk.deps.db.selectFrom('repository').selectAll().execute();
  const { blobs } = desk.deps;
  const slow: BlobStore = {
    ...blobs,
    put: async (key, ...rest) => {
      const stat = await blobs.put(key, ...rest);
      desk.clock.time += 24 * 60 * 60 * 1000;
      if (key.endsWith('.snapshot.json')) await refreshOnline(other);
      return stat;
    },
  };
  const role = text(await desk.listReleases([]));
  await expect(send({ ...desk.deps, blobs: slow }, role)).rejects.toMatchObject(FENCED);
  expect(await desk.deps.db.selectFrom('repository').selectAll().execute()).toEqual(rows);
});

describe('what a publication that was cut off has left', () => {
  /** Leaves the next role in the store and nothing else. */
  async function leftover(signatures: number): Promise<Awaited<ReturnType<Desk['listReleases']>>> {
    const role = await desk.listReleases([], signatures);
    const failing: BlobStore = {
      ...desk.deps.blobs,
      put: (key, ...rest) =>
        key.endsWith('snapshot.json')
          ? Promise.reject(new Error('power cut'))
          : desk.deps.blobs.put(key, ...rest),
    };
    await expect(send({ ...desk.deps, blobs: failing }, text(role))).rejects.toThrow('power cut');
    return role;
  }

  test('is never written over: another document of its version is refused, and the next one taken', async () => {
    const left = await leftover(2);
    desk.clock.time += 60_000;
    const other = await desk.listReleases([]);
    await expect(send(desk.deps, text(other))).rejects.toMatchObject({ code: 'ROLE_VERSION' });
    expect(await findBlob(desk.deps.blobs, metadataKey(PRODUCT, 2))).toEqual(Buffer.from(text(left)));
    desk.roles.set(PRODUCT, other);
    const next = await desk.listReleases([]);
    await expect(send(desk.deps, text(next))).resolves.toMatchObject({
      versions: { roles: { [PRODUCT]: 3 } },
    });
    expect((await walk()).role).toBe(3);
  });

  test('is published as it lies there when the same content comes with other signatures', async () => {
    const left = await leftover(2);
    const other = { ...left, signatures: left.signatures.toReversed() };
    await expect(send(desk.deps, text(other))).resolves.toMatchObject({
      versions: { roles: { [PRODUCT]: 2 } },
    });
    expect(await findBlob(desk.deps.blobs, metadataKey(PRODUCT, 2))).toEqual(Buffer.from(text(left)));
    await walk();
  });

  test('a version may be passed over only where its name is taken', async () => {
    desk.roles.set(PRODUCT, await desk.listReleases([]));
    await expect(send(desk.deps, text(await desk.listReleases([])))).rejects.toMatchObject({
      code: 'ROLE_VERSION',
    });
  });
});
