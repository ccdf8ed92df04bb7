/** Whatever is changed, one thing after the other: chargers follow, and never with fewer signatures than asked for. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { Refusal } from '@tidegate/client-sdk/protocol';
import { hintOf } from '../keys/index.ts';
import {
  authorityOf,
  CeremonyError,
  type Change,
  checkCeremony,
  finishCeremony,
  productsIn,
} from './index.ts';
import { NOW, PRODUCT, World } from './world.fixture.ts';

const PEOPLE = ['ann', 'ben', 'cat', 'dan', 'eve'];
const ROLES = ['root', 'targets', PRODUCT, 'acme.ac22', 'acme.ac11'];
const person = fc.constantFrom(...PEOPLE);
const role = fc.constantFrom(...ROLES);
const product = fc.constantFrom(...ROLES.slice(2));
const roles = fc.uniqueArray(role, { minLength: 1, maxLength: 3 });
const digest = fc.constantFrom('1'.repeat(64), '2'.repeat(64));

/** Changes of every kind; many are refused, and then nothing has changed. */
const change: fc.Arbitrary<(world: World) => Change> = fc.oneof(
  fc.tuple(person, roles).map(([name, roles]) => (world: World): Change => ({
    kind: 'add-person',
    holder: world.holder(name),
    roles,
  })),
  fc.tuple(person, fc.option(roles)).map(([person, only]) => (): Change => ({
    kind: 'remove-person',
    person,
    ...(only === null ? {} : { roles: only }),
  })),
  person.map((name) => (world: World): Change => ({ kind: 'replace-key', holder: world.holder(name) })),
  fc.tuple(role, fc.integer({ min: 1, max: 4 })).map(([role, threshold]) => (): Change => ({
    kind: 'threshold',
    role,
    threshold,
  })),
  fc
    .tuple(product, fc.subarray(PEOPLE, { minLength: 1 }))
    .map(([product, names]) => (world: World): Change => ({
      kind: 'add-product',
      product,
      holders: names.map((name) => world.holder(name)),
      threshold: Math.min(2, names.length),
      policy: world.policy(),
    })),
  product.map((product) => (): Change => ({ kind: 'remove-product', product })),
  fc.tuple(product, fc.nat(1200)).map(([product, value]) => (): Change => ({
    kind: 'set',
    product,
    field: 'emergency-floor',
    value,
  })),
  digest.map((entry) => (): Change => ({ kind: 'deny', list: 'digests', entry })),
  digest.map((entry) => (): Change => ({ kind: 'allow', list: 'digests', entry })),
  fc.constant((world: World): Change => ({ kind: 'stolen-director', key: world.key() })),
  fc.constant((world: World): Change => ({ kind: 'add-director', key: world.key() })),
  product.map((product) => (world: World): Change => ({
    kind: 'compromised-builder',
    product,
    builder: hintOf(world.build.publicKey),
  })),
  fc.constant((world: World): Change => ({ kind: 'add-online-key', role: 'snapshot', key: world.key() })),
);
const renewal = fc.constantFrom<string[] | 'all'>([], [], [], ['root'], ['targets'], [PRODUCT], 'all');
const step = fc.tuple(fc.array(change, { maxLength: 3 }), renewal);

it('any sequence of changes is one that every charger can follow, from any root that it was built with', async () => {
  let finished = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
      const world = await World.open();
      for (const [changes, renew] of steps) {
        const file = await attempt(() =>
          world.start(
            changes.map((make) => make(world)),
            renew,
          ),
        );
        if (file === undefined) continue;
        await world.finish(await world.signAll(file));
        finished++;
        for (const from of world.roots.keys()) {
          const set = world.walk(from);
          for (const name of productsIn(authorityOf(world.state))) expect(set.has(name)).toBe(true);
        }
      }
    }),
    { seed: 20261122, numRuns: 60 },
  );
  expect(finished).toBeGreaterThan(60);
});

it('with fewer signatures than any role asks for nothing is ever finished', async () => {
  const seen = { finished: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 3 }),
      fc.infiniteStream(fc.boolean()),
      async (changes, coin) => {
        const world = await World.open();
        const file = await attempt(() => world.start(changes.map((make) => make(world))));
        if (file === undefined) return;
        const everybody = checkCeremony(file, world.state, NOW).documents;
        const keyIds = [
          ...new Set(everybody.flatMap(({ quorums }) => quorums.flatMap((one) => one.role.keyids))),
        ];
        const signers = keyIds.filter(() => coin.next().value === true);
        const signed = await world.sign(file, ...signers.flatMap((keyId) => world.keys.get(keyId) ?? []));
        // Counted from the documents alone, by those who flipped heads.
        const before = authorityOf(world.state);
        const after = authorityOf({ ...world.state, ...signed.after });
        const count = (keyids: string[]) => keyids.filter((keyId) => signers.includes(keyId)).length;
        const meets = (roles: typeof after.roles, name: string) => {
          const { keyids, threshold } = roles.get(name) ?? { keyids: [], threshold: 1 };
          return count(keyids) >= threshold;
        };
        const enough =
          (signed.after.root === undefined || (meets(before.roles, 'root') && meets(after.roles, 'root'))) &&
          (signed.after.targets === undefined || meets(after.roles, 'targets')) &&
          Object.keys(signed.after.products).every((name) => meets(after.roles, name));
        const finish = () => finishCeremony(checkCeremony(signed, world.state, NOW));
        if (enough) finish();
        else expect(finish).toThrow(expect.objectContaining({ code: 'SIGNATURE_MISSING' }) as Error);
        seen[enough ? 'finished' : 'refused']++;
      },
    ),
    { seed: 20261123, numRuns: 150 },
  );
  expect(Math.min(seen.finished, seen.refused)).toBeGreaterThan(15);
});

it('the same key under two names never counts twice', async () => {
  const world = await World.open();
  fc.assert(
    fc.property(
      fc.constantFrom('ann', 'ben', 'cat'),
      fc.constantFrom('dan', 'eve'),
      roles,
      (holder, other, roles) => {
        const known = roles.filter((name) => ['root', 'targets', PRODUCT].includes(name));
        const key = world.keyOf(holder);
        if (known.length === 0) return;
        const add = (): unknown =>
          world.start([{ kind: 'add-person', holder: { name: other, key }, roles: known }]);
        expect(add).toThrow(expect.objectContaining({ code: 'KEY_TWICE' }) as Error);
        const fresh = world.key();
        const both = (): unknown =>
          world.start([
            { kind: 'add-person', holder: { name: 'dan', key: fresh }, roles: known },
            { kind: 'add-person', holder: { name: 'eve', key: fresh }, roles: known },
          ]);
        expect(both).toThrow(expect.objectContaining({ code: 'KEY_TWICE' }) as Error);
      },
    ),
    { seed: 20261124, numRuns: 50 },
  );
});

/** Undefined where it is refused, which is fine; anything but a refusal is not. */
async function attempt<T>(work: () => T): Promise<T | undefined> {
  try {
    return await Promise.resolve(work());
  } catch (error) {
    if (error instanceof CeremonyError || error instanceof Refusal) return undefined;
    throw error;
  }
}
