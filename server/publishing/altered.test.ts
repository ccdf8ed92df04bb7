/** Bytes that change in staging after they were hashed or verified: what is published is what was verified, or nothing. */
import { readFile, writeFile } from 'node:fs/promises';
import path, { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { testDatabase } from '../../test/support/postgres.ts';
import { type Built, Desk, digest } from './desk.fixture.ts';

let desk: Desk;
let built: Built;

beforeEach(async () => {
  desk = await Desk.open((await testDatabase()).db);
  await desk.bootstrap();
  built = await desk.buildRelease('1.0.0');
});
afterEach(() => desk.close());

const alter = (bytes: Buffer, to: Buffer) => writeFile(join(desk.deps.staging, digest(bytes)), to);
const flipped = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte, i) => (i === 7 ? byte ^ 1 : byte)));

async function refused(attempt: () => Promise<unknown>): Promise<void> {
  const { blobs, ...rows } = await desk.state();
  await expect(attempt()).rejects.toMatchObject({ code: 'UPLOAD_MISMATCH', status: 422 });
  const after = await desk.state();
  expect(after).toEqual({ ...rows, staging: [], blobs: after.blobs });
  // Nothing new but what is named by a digest that it has.
  for (const file of after.blobs) {
    if (blobs.includes(file)) continue;
    expect(path.basename(file).split('.')[0]).toBe(digest(await readFile(file)));
  }
}

async function refusedAndStillPossible(attempt: () => Promise<unknown>): Promise<void> {
  await refused(attempt);
  await expect(desk.release(built)).resolves.toMatchObject({ changed: true });
}

test('an image that was altered after its upload, in its length or not', async () => {
  for (const bytes of [
    flipped(built.image),
    built.image.subarray(1),
    Buffer.concat([built.image, built.image]),
  ]) {
    await desk.upload(built.image, built.bundle);
    await alter(built.image, bytes);
    await refused(async () => desk.publishRole(await desk.listReleases([built])));
  }
  await expect(desk.release(built)).resolves.toMatchObject({ changed: true });
});

test('a bundle that is altered between its verification and its promotion', () =>
  refusedAndStillPossible(async () => {
    const { blobs } = desk.deps;
    const put = blobs.put.bind(blobs);
    const deps = {
      ...desk.deps,
      blobs: Object.assign(Object.create(blobs) as typeof blobs, {
        // By now everything has been verified.
        put: async (...args: Parameters<typeof put>) => {
          await alter(built.bundle, flipped(built.bundle));
          return put(...args);
        },
      }),
    };
    await desk.upload(built.image, built.bundle);
    const { deps: own } = desk;
    desk.deps = deps;
    try {
      return await desk.publishRole(await desk.listReleases([built]));
    } finally {
      desk.deps = own;
    }
  }));
