/** The service with its images and TUF files in a bucket: published into, read by a charger, and what either sees of a store that fails. */
import { createHash, randomBytes } from 'node:crypto';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enrol, httpsTransport, type Transport } from '@tidegate/client-sdk/agent';
import { systemClock } from '@tidegate/client-sdk/agent/clock';
import { metadataFetch } from '@tidegate/client-sdk/agent/trust-keeper';
import { downloadImage } from '@tidegate/client-sdk/download';
import { consistentTargetPath } from '@tidegate/client-sdk/protocol';
import { diskFiles, refreshTrust } from '@tidegate/client-sdk/trust';
import { HARDWARE, PRODUCT, release, type Release } from '../../demo/releases.ts';
import { install, type Installation } from '../support/installation.ts';
import { TestS3 } from '../support/s3/server.ts';

/** In two parts. */
const IMAGE = randomBytes(12 * 1024 * 1024);

let s3: TestS3;
let installation: Installation;
let transport: Transport;
let first: Release;
let folder: string;

beforeAll(async () => {
  s3 = await TestS3.start();
  installation = await install(undefined, { TIDEGATE_STORE: s3.location('fleet/eu'), ...s3.env });
  first = await publish('1.0.0', IMAGE);
  folder = path.join(installation.folder, 'charger');
  await mkdir(folder);
  transport = await charger();
});
afterAll(async () => {
  transport?.close();
  await installation?.remove();
  await s3?.stop();
});

test('everything published is in the bucket, and nothing of it on this disk', async () => {
  const target = `fleet/eu/targets/${consistentTargetPath(first.path, first.sha256)}`;
  expect(s3.keys()).toContain('fleet/eu/metadata/timestamp.json');
  expect(s3.keys()).toContain('fleet/eu/metadata/1.root.json');
  expect(s3.keys()).toContain(target);
  expect(s3.uploads).toBe(0);
  await expect(access(path.join(installation.home, 'service', 'tuf'))).rejects.toMatchObject({
    code: 'ENOENT',
  });
});

test('a charger refreshes, downloads, and resumes where either connection broke', async () => {
  expect(await listed()).toContain(first.path);
  const { path: name, sha256, length } = first;
  const ranges: (number | undefined)[] = [];
  const download = (breaksAt: number) =>
    downloadImage({
      paths: [`/tuf/targets/${consistentTargetPath(name, sha256)}`],
      sha256,
      length,
      files: diskFiles(folder),
      file: 'image',
      fetch: async (at, { range, signal }) => {
        ranges.push(range?.from);
        const answer = await transport.get(at, {
          headers:
            range === undefined ? {} : { range: `bytes=${range.from}-`, 'if-range': range.ifRange ?? '' },
          signal,
        });
        return { ...answer, body: broken(answer.body, breaksAt) };
      },
      clock: systemClock,
      minimumRate: 1,
    });
  await expect(download(5 * 1024 * 1024)).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
  // Between the service and the store this time: the charger notices nothing.
  s3.fail('GetObject', 'cut');
  await download(Infinity);
  expect(s3.calm()).toBe(0);
  expect(ranges).toHaveLength(2);
  expect(ranges[1]).toBeGreaterThan(0);
  expect((await readFile(path.join(folder, 'image'))).equals(IMAGE)).toBe(true);
});

test('while the store is away nothing is published and nothing breaks; afterwards the same publication goes through', async () => {
  s3.down = true;
  await expect(publish('1.1.0', randomBytes(9 * 1024 * 1024))).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
  });
  await expect(listed()).rejects.toThrow();
  s3.down = false;
  expect(await listed()).toEqual([first.path]);
  await installation.people.as('erin', 'publish', `${PRODUCT}@1.1.0`);
  expect(await listed()).toHaveLength(2);
  expect(s3.uploads).toBe(0);
});

test('answers that get lost while something is published change nothing', async () => {
  s3.fail('PutObject', 'lost', 2);
  s3.fail('CompleteMultipartUpload', 'lost');
  await publish('1.2.0', randomBytes(9 * 1024 * 1024));
  expect(s3.calm()).toBe(0);
  expect(await listed()).toHaveLength(3);
});

async function publish(version: string, bytes: Buffer): Promise<Release> {
  const image = path.join(installation.folder, 'images', `dc150-${version}.bin`);
  await writeFile(image, bytes);
  const published = await release(installation.people, {
    version,
    image,
    fallback: ['none'],
    notes: 'a test',
  });
  expect(published.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
  return published;
}

/** Enrols it. */
async function charger(): Promise<Transport> {
  const { people, url } = installation;
  const words = ['--type', 'depot', '--region', 'north', '--time-zone', 'Europe/Berlin'];
  await people.as('alice', 'site', 'add', 'berlin', ...words);
  const where = ['--product', PRODUCT, '--hardware', HARDWARE, '--site', 'berlin'];
  const { tokens } = await people.as<{ tokens: { token: string }[] }>(
    'alice',
    'fleet',
    'token',
    'CP-1',
    ...where,
  );
  const service = { service: url, ca: await installation.ca() };
  const unnamed = httpsTransport(service);
  const client = await enrol({
    provisioning: { organisation: 'acme', hardware: HARDWARE, serial: 'CP-1' },
    folder: path.join(folder, 'identity'),
    token: tokens[0]!.token,
    transport: unnamed,
  });
  unnamed.close();
  return httpsTransport({ ...service, client });
}

/** Paths that a charger trusts when it refreshes now. */
async function listed(): Promise<string[]> {
  const root = await readFile(path.join(installation.home, 'service', 'initial', '1.root.json'));
  const { productTargets } = await refreshTrust({
    files: diskFiles(path.join(folder, 'state')),
    fetch: metadataFetch(transport),
    now: Date.now(),
    provisioning: { root, product: PRODUCT },
  });
  return [...productTargets.targets.keys()].sort();
}

async function* broken(body: AsyncIterable<Uint8Array>, at: number): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const chunk of body) {
    yield chunk;
    length += chunk.length;
    if (length >= at) throw new Error('The network is gone.');
  }
}
