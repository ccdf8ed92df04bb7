import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { generateKey, type PrivateKey } from '../keys/index.ts';
import {
  addSignature,
  addTarget,
  bump,
  delegateProduct,
  type Metadata,
  newProductRole,
  newRoot,
  newTargets,
  productRole,
  readWorkingCopy,
  type Root,
  topLevelRole,
  writeDocument,
  writeTrustFile,
} from './index.ts';

const NOW = Date.parse('2026-11-22T12:00:00Z');
const [erin, frank, grace] = [generateKey(), generateKey(), generateKey()];
const policy = Buffer.from(
  JSON.stringify({
    _type: 'tidegate-policy',
    version: 1,
    directors: {},
    products: {},
    denied: { digests: [], signers: [] },
  }),
);

let folder: string;

async function rootOf(keys: PrivateKey[], version: number, signers: PrivateKey[]): Promise<Metadata<Root>> {
  const quorum = { keys, threshold: keys.length };
  const roles = {
    root: quorum,
    targets: { keys: [erin], threshold: 1 },
    snapshot: quorum,
    timestamp: quorum,
  };
  let root = bump(newRoot(roles, NOW), 'root', NOW, version);
  const role = { ...topLevelRole(root, 'root') };
  const anyone = new Map([
    ...role.keys,
    ...topLevelRole(newRoot({ ...roles, root: { keys: signers, threshold: 1 } }, NOW), 'root').keys,
  ]);
  for (const key of signers)
    root = await addSignature(root, { ...role, keys: anyone, keyids: [...anyone.keys()] }, key);
  return root;
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate-copy-'));
  const root = await rootOf([erin], 1, [erin]);
  await writeDocument(folder, 'root', root);
  let targets = newTargets(NOW);
  for (const [path, bytes] of [
    ['trust/policy.json', policy],
    ['trust/sigstore_root.json', Buffer.from('{}')],
  ] as const) {
    await writeTrustFile(folder, path, bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    targets = addTarget(targets, path, { sha256, length: bytes.length });
  }
  await writeDocument(folder, 'targets', await addSignature(targets, topLevelRole(root, 'targets'), erin));
});

afterEach(() => rm(folder, { recursive: true }));

it('is read from the root down, newest versions first', async () => {
  await writeDocument(folder, 'root', await rootOf([frank], 2, [erin, frank]));
  const copy = await readWorkingCopy(folder);
  expect(copy.root.metadata.signed.version).toBe(2);
  expect(copy.policy.version).toBe(1);
});

it('refuses a root that the one before did not sign', async () => {
  await writeDocument(folder, 'root', await rootOf([grace], 2, [grace]));
  await expect(readWorkingCopy(folder)).rejects.toMatchObject({ code: 'WORKING_COPY_BROKEN' });
});

it('refuses a root that only the one before signed', async () => {
  await writeDocument(folder, 'root', await rootOf([frank], 2, [erin]));
  await expect(readWorkingCopy(folder)).rejects.toMatchObject({ code: 'WORKING_COPY_BROKEN' });
});

it('refuses a product role that one of two signed', async () => {
  const { root, targets } = await readWorkingCopy(folder);
  const product = 'acme.dc150';
  const quorum = { keys: [frank, grace], threshold: 2 };
  const delegated = bump(delegateProduct(targets.metadata, product, quorum), 'targets', NOW);
  const role = productRole(delegated, product);
  await writeDocument(
    folder,
    'targets',
    await addSignature(delegated, topLevelRole(root.metadata, 'targets'), erin),
  );
  const once = await addSignature(newProductRole(NOW), role, frank);
  await writeDocument(folder, product, once);
  await expect(readWorkingCopy(folder)).rejects.toMatchObject({ code: 'WORKING_COPY_BROKEN' });
  await writeDocument(folder, product, await addSignature(once, role, grace));
  expect((await readWorkingCopy(folder)).products.size).toBe(1);
});

it('refuses targets that were changed after they were signed', async () => {
  const path = join(folder, '1.targets.json');
  await writeFile(path, (await readFile(path, 'utf8')).replace('"length":2', '"length":3'));
  await expect(readWorkingCopy(folder)).rejects.toMatchObject({ code: 'WORKING_COPY_BROKEN' });
});

it('refuses a policy that the targets do not list', async () => {
  const sha256 = createHash('sha256').update(policy).digest('hex');
  await writeFile(
    join(folder, 'trust', `${sha256}.policy.json`),
    policy.toString().replace('"version":1', '"version":2'),
  );
  await expect(readWorkingCopy(folder)).rejects.toMatchObject({ code: 'WORKING_COPY_BROKEN' });
});

it('refuses half a document, and a folder with none', async () => {
  await writeFile(join(folder, '1.targets.json'), '{"signed":');
  await expect(readWorkingCopy(folder)).rejects.toMatchObject({ code: 'WORKING_COPY_BROKEN' });
  await expect(readWorkingCopy(join(folder, 'trust'))).rejects.toMatchObject({
    code: 'WORKING_COPY_MISSING',
  });
  await expect(readWorkingCopy(join(folder, 'none'))).rejects.toMatchObject({ code: 'WORKING_COPY_MISSING' });
});
