/** A publication reads and verifies what it touches, and nothing else. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { generateKey } from '@tidegate/signer/keys';
import { addSignature, bump, metadataKey, productRole, topLevelRole } from '@tidegate/signer/repository';
import { testDatabase } from '../../test/support/postgres.ts';
import { Desk, text } from './desk.fixture.ts';

const [ONE, TWO, THREE] = ['acme.one', 'acme.two', 'acme.three'] as const;
let desk: Desk;
let read: string[];

beforeEach(async () => {
  desk = await Desk.open((await testDatabase()).db, 'acme', [ONE, TWO, THREE]);
  await desk.bootstrap();
  for (const product of desk.products)
    await desk.publishRole(await desk.listReleases([], 2, product), [], product);
  read = desk.watchReads();
});
afterEach(() => desk.close());

const rolesRead = () =>
  read.filter((key) => desk.products.some((product) => key.endsWith(`.${product}.json`)));

test('the roles of other products are not read, and stay in the snapshot', async () => {
  const built = await desk.buildRelease('1.0.0', { product: ONE });
  await desk.upload(built.image, built.bundle);
  const published = await desk.publishRole(await desk.listReleases([built], 2, ONE), [], ONE);
  expect(published.versions.roles).toEqual({ [ONE]: 3, [TWO]: 2, [THREE]: 2 });
  // Whether the name is free is all that is asked.
  expect(rolesRead()).toEqual([`metadata/3.${ONE}.json`]);
});

/** Targets in which others may sign for the product. */
async function redelegate(product: string, keep: boolean) {
  const { people, targets } = desk;
  const stranger = generateKey();
  const delegations = structuredClone(targets.signed.delegations ?? { keys: {}, roles: [] });
  const role = delegations.roles.find(({ name }) => name === product);
  if (role === undefined) throw new Error(product);
  const { keyid, scheme, ...key } = { keyid: stranger.keyId, ...keyOf(stranger.publicKey) };
  delegations.keys[keyid] = { ...key, scheme };
  role.keyids = keep ? [...role.keyids, keyid] : [keyid, role.keyids[0] ?? ''];
  let next = bump({ ...targets, signed: { ...targets.signed, delegations } }, 'targets', desk.clock.time);
  for (const signer of people.targets.slice(0, 2)) {
    next = await addSignature(next, topLevelRole(desk.root, 'targets'), signer);
  }
  return next;
}

const keyOf = (publicKey: string) => ({
  keytype: 'ed25519' as const,
  scheme: 'ed25519' as const,
  keyval: { public: rawOf(publicKey) },
});
const rawOf = (pem: string) =>
  Buffer.from(pem.split('\n')[1] ?? '', 'base64')
    .subarray(-32)
    .toString('hex');

test('a role whose delegation changes is read and verified again, and it alone', async () => {
  const targets = await redelegate(TWO, true);
  expect(productRole(targets, TWO).keyids).toHaveLength(3);
  await expect(desk.send({ targets: text(targets) })).resolves.toMatchObject({ changed: true });
  expect(rolesRead()).toEqual([`metadata/2.${TWO}.json`]);
});

test('a delegation that takes the signatures from a role is refused', async () => {
  const targets = await redelegate(TWO, false);
  const before = await desk.state();
  await expect(desk.send({ targets: text(targets) })).rejects.toMatchObject({ code: 'METADATA_UNSIGNED' });
  expect(await desk.state()).toEqual(before);
});

test('a store that has lost what is published is named, and nothing is published on top of it', async () => {
  const { snapshot_version: version } = await desk.deps.db
    .selectFrom('repository')
    .select('snapshot_version')
    .executeTakeFirstOrThrow();
  await desk.deps.blobs.remove(metadataKey('snapshot', version));
  const role = await desk.listReleases([], 2, ONE);
  const before = await desk.state();
  await expect(desk.publishRole(role, [], ONE)).rejects.toMatchObject({
    code: 'STORE_INCOMPLETE',
    detail: expect.stringContaining(`${version}.snapshot.json`) as string,
  });
  expect(await desk.state()).toEqual(before);
});
