/** In which order a service is brought from what it has to what the working copy has. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { World, PRODUCT } from '../ceremony/world.fixture.ts';
import type { Change } from '../ceremony/index.ts';
import { bump } from './author.ts';
import { productRole } from './products.ts';
import { publicationSteps, type PublishedVersions } from './publication-steps.ts';
import { addSignature } from './signatures.ts';
import { commitDocuments, readWorkingCopy, writeDocument } from './working-copy.ts';

let folder: string;
let world: World;
const FIRST: PublishedVersions = { root: 1, targets: 1, roles: { [PRODUCT]: 1 } };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate steps '));
  world = await World.open();
  await keep();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function keep(): Promise<void> {
  const { root, targets, policy, sigstoreRoot, products } = world.state;
  await commitDocuments(folder, {
    documents: { ...products, targets, root },
    trustFiles: { 'trust/policy.json': policy, 'trust/sigstore_root.json': sigstoreRoot },
  });
}

async function ceremony(changes: Change[], renew: string[] | 'all' = []): Promise<void> {
  await world.finish(await world.signAll(world.start(changes, renew)));
  await keep();
}

/** Two engineers sign the next version of the product's role, as a release does. */
async function release(...names: string[]): Promise<void> {
  const before = world.state.products[PRODUCT];
  if (before === undefined) throw new Error('No role.');
  let role = bump(before, 'product', Date.parse('2026-11-22T12:00:00Z'));
  for (const name of names) {
    role = await addSignature(role, productRole(world.state.targets, PRODUCT), world.keyOf(name, PRODUCT));
  }
  world.state = { ...world.state, products: { ...world.state.products, [PRODUCT]: role } };
  await writeDocument(folder, PRODUCT, role);
}

async function steps(published = FIRST): Promise<string[]> {
  const version = (text: string) => (JSON.parse(text) as { signed: { version: number } }).signed.version;
  return (await publicationSteps(folder, published)).map(({ roots, targets, products }) =>
    [
      ...roots.map((text) => `root ${version(text)}`),
      ...(targets === null ? [] : [`targets ${version(targets)}`]),
      ...Object.entries(products).map(([name, text]) => `${name} ${version(text)}`),
    ].join(', '),
  );
}

it('nothing, where the service has everything', async () => {
  expect(await steps()).toEqual([]);
});

it('a root with the targets that need it, and a role with the targets that give it to others', async () => {
  await ceremony(['ann', 'ben'].map((name) => ({ kind: 'replace-key', holder: world.holder(name) })));
  expect(await steps()).toEqual([`root 2, targets 2, ${PRODUCT} 2`]);
});

it('a root alone', async () => {
  await ceremony([{ kind: 'threshold', role: 'root', threshold: 3 }]);
  expect(await steps()).toEqual(['root 2']);
});

it('releases made before a change of engineers before it, and those made after it after it', async () => {
  await release('ann', 'ben');
  await ceremony([{ kind: 'remove-person', person: 'ann', roles: [PRODUCT] }]);
  await release('ben', 'cat');
  expect(await steps()).toEqual([`${PRODUCT} 2`, `targets 2, ${PRODUCT} 3`, `${PRODUCT} 4`]);
});

it('several changes of the keys of targets, each with its root', async () => {
  for (let i = 0; i < 2; i++) {
    const holders = ['ann', 'ben', 'cat'].map((name) => world.holder(name));
    await ceremony(holders.map((holder) => ({ kind: 'replace-key', holder, roles: ['targets'] })));
  }
  expect(await steps()).toEqual(['root 2, targets 2', 'root 3, targets 3']);
});

it('the newest root as early as it may be: the old one may have expired', async () => {
  await ceremony([], ['root', 'targets']);
  await ceremony([], ['root', 'targets']);
  expect(await steps()).toEqual(['root 2, root 3, targets 2', 'targets 3']);
});

it('a product that comes and goes', async () => {
  const product = 'acme.ac22';
  const holders = ['ann', 'ben'].map((name) => ({ name, key: world.keyOf(name) }));
  await ceremony([{ kind: 'add-product', product, holders, threshold: 2, policy: world.policy() }]);
  await ceremony([{ kind: 'remove-product', product }]);
  expect(await steps()).toEqual([`targets 2, ${product} 1`, 'targets 3']);
  expect(await steps({ root: 1, targets: 2, roles: { [PRODUCT]: 1, [product]: 1 } })).toEqual(['targets 3']);
});

it('documents that count together are there together, wherever a crash comes', async () => {
  const before = await readWorkingCopy(folder);
  await world.finish(
    await world.signAll(
      world.start(['ann', 'ben'].map((name) => ({ kind: 'replace-key', holder: world.holder(name) }))),
    ),
  );
  const { root, targets, products } = world.state;
  // Some of it is written, and the machine stops: what was written first says all of it.
  await writeFile(
    join(folder, 'pending.json'),
    JSON.stringify({ documents: { ...products, targets, root }, trustFiles: {} }),
  );
  await writeDocument(folder, 'targets', targets);
  const after = await readWorkingCopy(folder);
  expect(
    [before, after].map((copy) => [copy.root, copy.targets].map(({ metadata }) => metadata.signed.version)),
  ).toEqual([
    [1, 1],
    [2, 2],
  ]);
  await expect(readFile(join(folder, 'pending.json'))).rejects.toMatchObject({ code: 'ENOENT' });
});
