/** An independent client, tuf-js, reads a repository that we authored: over HTTP, with the product's delegated role. */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { generateKey, type PrivateKey } from '@tidegate/signer/keys';
import {
  addRelease,
  addSignature,
  addTarget,
  type BlobStore,
  bump,
  delegateProduct,
  encode,
  fileBlobs,
  type Metadata,
  newProductRole,
  newRoot,
  newSnapshot,
  newTargets,
  newTimestamp,
  productRole,
  publishMetadata,
  type Role,
  type Signed,
  topLevelRole,
} from '@tidegate/signer/repository';
import { Updater } from 'tuf-js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tufClient } from './tuf/client.ts';

const PRODUCT = 'acme.dc150';
const IMAGE = Buffer.from('the image');
const POLICY = Buffer.from('{"a":"policy"}');
const PATH = `${PRODUCT}/dc150-1.0.0.raucb`;
const people = [generateKey(), generateKey(), generateKey()];
const engineers = [generateKey(), generateKey('ecdsa-sha2-nistp256')];
const online = generateKey();

let folder: string;
let server: Server;
let url: string;
let rootBytes: Buffer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate-tuf-js-'));
  const store = fileBlobs(join(folder, 'published'));
  server = createServer((request, response) => {
    serve(store, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  rootBytes = await publishEverything(store);
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

it('follows a root rotation, reads the trust files, and finds the release in the product role', async () => {
  const updater = await openUpdater('one');
  await updater.refresh();

  const policy = await updater.getTargetInfo('trust/policy.json');
  expect(policy?.hashes['sha256']).toBe(sha256(POLICY));

  const image = await updater.getTargetInfo(PATH);
  expect(image?.custom).toMatchObject({ product: PRODUCT, version: '1.0.0', securityVersion: 1 });
  if (image === undefined) throw new Error('no image');
  const file = await updater.downloadTarget(image);
  expect(await readFile(file)).toEqual(IMAGE);
});

it('finds nothing that is not listed', async () => {
  const updater = await openUpdater('two');
  await updater.refresh();
  expect(await updater.getTargetInfo(`${PRODUCT}/dc150-9.9.9.raucb`)).toBeUndefined();
});

it('reads the same with the client that outside suites test', async () => {
  const metadataDir = join(folder, 'three-metadata');
  const root = join(folder, 'first.root.json');
  await writeFile(root, rootBytes);
  const world = { now: Date.now(), err: (line: string) => expect.fail(line) };
  expect(await tufClient(['--metadata-dir', metadataDir, 'init', root], world)).toBe(0);
  const from = ['--metadata-dir', metadataDir, '--metadata-url', `${url}/metadata`];
  const to = ['--target-dir', join(folder, 'three-targets'), '--target-base-url', `${url}/targets`];
  expect(await tufClient([...from, ...to, '--target-name', PATH, 'download'], world)).toBe(0);
  const [file = ''] = await readdir(join(folder, 'three-targets'));
  expect(await readFile(join(folder, 'three-targets', file))).toEqual(IMAGE);
});

async function serve(store: BlobStore, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const blob = await store.get((request.url ?? '').slice(1));
  if (blob === undefined) response.writeHead(404).end();
  else await pipeline(blob.body, response);
}

async function openUpdater(name: string): Promise<Updater> {
  const metadataDir = await mkdtemp(join(folder, `${name}-metadata-`));
  const targetDir = await mkdtemp(join(folder, `${name}-targets-`));
  await writeFile(join(metadataDir, 'root.json'), rootBytes);
  return new Updater({
    metadataDir,
    metadataBaseUrl: `${url}/metadata`,
    targetDir,
    targetBaseUrl: `${url}/targets`,
  });
}

/** @returns the first root, which a client is provisioned with; a second is published. */
async function publishEverything(store: BlobStore): Promise<Buffer> {
  const now = Date.now();
  const quorum = { keys: people, threshold: 2 };
  const single = { keys: [online], threshold: 1 };
  const unsigned = newRoot({ root: quorum, targets: quorum, snapshot: single, timestamp: single }, now);
  const rootRole = topLevelRole(unsigned, 'root');
  const root = await sign(unsigned, rootRole, people.slice(0, 2));
  const nextRoot = await sign(bump(unsigned, 'root', now), rootRole, people.slice(1));

  const delegated = delegateProduct(newTargets(now), PRODUCT, { keys: engineers, threshold: 2 });
  const listed = addTarget(delegated, 'trust/policy.json', { sha256: sha256(POLICY), length: POLICY.length });
  const targets = await sign(listed, topLevelRole(root, 'targets'), people.slice(0, 2));
  const role = await sign(
    addRelease(newProductRole(now), PRODUCT, {
      path: PATH,
      sha256: sha256(IMAGE),
      length: IMAGE.length,
      custom: {
        product: PRODUCT,
        version: '1.0.0',
        hardware: ['dc150-r2'],
        securityVersion: 1,
        fallback: [],
        bundles: [],
        notes: 'Ümlaut "quoted" \\ and a\nnew line',
        sbom: null,
        cves: [],
      },
    }),
    productRole(targets, PRODUCT),
    engineers,
  );
  const products = new Map([[PRODUCT, encode(role)]]);
  const snapshot = await sign(
    newSnapshot({ targets: encode(targets), products }, 1, now),
    topLevelRole(root, 'snapshot'),
    [online],
  );
  const timestamp = await sign(newTimestamp(encode(snapshot), 1, now), topLevelRole(root, 'timestamp'), [
    online,
  ]);
  await publishMetadata(store, {
    files: [
      { path: PATH, sha256: sha256(IMAGE), length: IMAGE.length, open: () => IMAGE },
      { path: 'trust/policy.json', sha256: sha256(POLICY), length: POLICY.length, open: () => POLICY },
    ],
    products: new Map([[PRODUCT, { version: 1, bytes: encode(role) }]]),
    targets: { version: 1, bytes: encode(targets) },
    roots: [
      { version: 1, bytes: encode(root) },
      { version: 2, bytes: encode(nextRoot) },
    ],
    snapshot: { version: 1, bytes: encode(snapshot) },
    timestamp: { version: 1, bytes: encode(timestamp) },
    replaces: null,
  });
  return encode(root);
}

async function sign<T extends Signed>(
  metadata: Metadata<T>,
  role: Role,
  keys: PrivateKey[],
): Promise<Metadata<T>> {
  let signed = metadata;
  for (const key of keys) signed = await addSignature(signed, role, key);
  return signed;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
