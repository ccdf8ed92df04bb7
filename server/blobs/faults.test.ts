/** A store that fails in every way a network and a busy service can: what is told is true, and what is there is whole. */
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { BlobStore } from '@tidegate/signer/repository';
import { TestS3 } from '../../test/support/s3/server.ts';
import { openS3, parseLocation, type S3Settings } from './index.ts';

const MIB = 1024 * 1024;
const LARGE = Buffer.alloc(11 * MIB, 'firmware');
const SETTINGS: Partial<S3Settings> = {
  attempts: 3,
  silenceMs: 1_000,
  partBytes: 5 * MIB,
};

let s3: TestS3;
let blobs: BlobStore;
let hasty: BlobStore;
let close: () => void;

beforeAll(async () => {
  s3 = await TestS3.start();
  for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
  const location = parseLocation(s3.location());
  if ('problem' in location) throw new Error(location.problem);
  const patient = await openS3(location, SETTINGS);
  // Only for requests that are never answered: a busy machine may take its time.
  const impatient = await openS3(location, { ...SETTINGS, requestMs: 2_000, attempts: 2 });
  blobs = patient.blobs;
  hasty = impatient.blobs;
  close = () => [patient, impatient].forEach((each) => each.close());
});
afterAll(async () => {
  close();
  await s3.stop();
  vi.unstubAllEnvs();
});

let key: string;
beforeEach(() => {
  key = `metadata/${randomBytes(4).toString('hex')}.json`;
  s3.log.length = 0;
});
afterEach(() => {
  // Every fault that a test asked for has happened.
  expect(s3.calm()).toBe(0);
  expect(s3.uploads).toBe(0);
});

describe('a put', () => {
  test.each(['503 SlowDown', '500 InternalError', '409 ConditionalRequestConflict', 'cut', 'slow'] as const)(
    'is tried again after %s',
    async (fault) => {
      s3.fail('PutObject', fault, fault === 'slow' ? 1 : 2);
      const stat = await blobs.put(key, Buffer.from('once'));
      expect(await blobs.stat(key)).toEqual(stat);
      expect(await text()).toBe('once');
    },
  );

  test('whose answer is lost knows its own work, new or replaced', async () => {
    s3.fail('PutObject', 'lost');
    const first = await blobs.put(key, Buffer.from('first'));
    expect(asked('PutObject')).toEqual(['cut', 412]);
    s3.fail('PutObject', 'lost');
    const second = await blobs.put(key, Buffer.from('second'), { replace: first });
    expect(asked('PutObject')).toEqual(['cut', 412, 'cut', 412]);
    expect(await blobs.stat(key)).toEqual(second);
    await expect(blobs.put(key, Buffer.from('x'), { replace: first })).rejects.toMatchObject({
      code: 'BLOB_CHANGED',
    });
  });

  test('does not take the same bytes of somebody else for its own work', async () => {
    await blobs.put(key, Buffer.from('same'));
    await expect(blobs.put(key, Buffer.from('same'))).rejects.toMatchObject({ code: 'BLOB_EXISTS' });
  });

  test('knows it also when only failures are answered afterwards', async () => {
    s3.fail('PutObject', 'lost');
    s3.fail('PutObject', '500 InternalError', 2);
    expect(await blobs.put(key, Buffer.from('done'))).toEqual(await blobs.stat(key));
  });

  test.each(['503 SlowDown', '403 AccessDenied', 'cut'] as const)(
    'that always meets %s says that the store cannot be used, and stores nothing',
    async (fault) => {
      s3.fail('PutObject', fault, fault === '403 AccessDenied' ? 1 : 3);
      await expect(blobs.put(key, Buffer.from('x'))).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' });
      expect(await blobs.stat(key)).toBeUndefined();
    },
  );

  test('that is never answered ends all the same', async () => {
    s3.fail('PutObject', 'hang', 2);
    await expect(hasty.put(key, Buffer.from('x'))).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' });
    expect(await blobs.stat(key)).toBeUndefined();
  });
});

describe('a large put', () => {
  test.each(['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'] as const)(
    'is whole after failures of %s',
    async (operation) => {
      s3.fail(operation, '503 SlowDown');
      s3.fail(operation, '500 InternalError');
      const stat = await blobs.put(key, LARGE);
      expect(stat.length).toBe(LARGE.length);
      expect(await blobs.stat(key)).toEqual(stat);
      expect((await bytes()).equals(LARGE)).toBe(true);
    },
  );

  test('is whole when a connection ends in the middle of a part', async () => {
    s3.fail('UploadPart', 'cut', 2);
    await blobs.put(key, LARGE);
    expect((await bytes()).equals(LARGE)).toBe(true);
  });

  test('whose last answer is lost knows its own work', async () => {
    s3.fail('CompleteMultipartUpload', 'lost');
    const stat = await blobs.put(key, LARGE);
    expect(asked('CompleteMultipartUpload')).toEqual(['cut', 404]);
    expect(await blobs.stat(key)).toEqual(stat);
    s3.fail('CompleteMultipartUpload', 'lost');
    await blobs.put(key, LARGE.subarray(1), { replace: stat });
    expect((await blobs.stat(key))?.length).toBe(LARGE.length - 1);
  });

  test.each(['UploadPart', 'CompleteMultipartUpload'] as const)(
    'that %s never lets through is taken back, part by part',
    async (operation) => {
      s3.fail(operation, '500 InternalError', 3);
      await expect(blobs.put(key, LARGE)).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' });
      expect(await blobs.stat(key)).toBeUndefined();
      expect(asked('AbortMultipartUpload')).toEqual([204]);
    },
  );

  test('that somebody else comes before is refused as such', async () => {
    async function* slow() {
      yield LARGE;
      await blobs.put(key, Buffer.from('first'), { replace: 'any' });
    }
    await expect(blobs.put(key, slow())).rejects.toMatchObject({ code: 'BLOB_EXISTS' });
    const stat = await blobs.stat(key);
    s3.fail('CompleteMultipartUpload', '409 ConditionalRequestConflict', 1);
    await expect(blobs.put(key, LARGE, { replace: stat! })).rejects.toMatchObject({ code: 'BLOB_CHANGED' });
    expect(await text()).toBe('first');
  });

  test('of wrong bytes is never completed', async () => {
    const expect_ = { sha256: '0'.repeat(64), length: LARGE.length };
    await expect(blobs.put(key, LARGE, { expect: expect_ })).rejects.toMatchObject({ code: 'BLOB_DIGEST' });
    expect(asked('UploadPart').length).toBeGreaterThan(0);
    expect(asked('CompleteMultipartUpload')).toEqual([]);
  });
});

describe('a body that is read', () => {
  beforeEach(async () => {
    await blobs.put(key, LARGE);
    s3.log.length = 0;
  });

  test.each(['cut', 'stall'] as const)('goes on where it was %s', async (fault) => {
    s3.fail('GetObject', fault, 2);
    expect((await bytes()).equals(LARGE)).toBe(true);
    expect(asked('GetObject').at(-1)).toBe(206);
    s3.fail('GetObject', fault);
    const range = { start: 1_000_001, end: 9_000_000 };
    expect((await bytes(range)).equals(LARGE.subarray(range.start, range.end + 1))).toBe(true);
  });

  test('never goes on with another version', async () => {
    s3.fail('GetObject', 'cut');
    const blob = await blobs.get(key);
    await blobs.put(key, Buffer.alloc(LARGE.length, 'other'), { replace: 'any' });
    await expect(blob!.body.toArray()).rejects.toMatchObject({ code: 'BLOB_CHANGED' });
  });

  test('fails when the store does not come back', async () => {
    s3.fail('GetObject', 'cut');
    const blob = await blobs.get(key);
    s3.down = true;
    await expect(blob!.body.toArray()).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' });
    s3.down = false;
  });

  test('lets its connection go when nobody wants it', async () => {
    const blob = await blobs.get(key);
    blob!.body.destroy();
    await expect.poll(() => s3.reading).toBe(0);
  });
});

test('while the store is away, everything says so; afterwards everything works', async () => {
  await blobs.put(key, Buffer.from('here'));
  s3.down = true;
  const unavailable = { code: 'BLOB_UNAVAILABLE' };
  await expect(blobs.get(key)).rejects.toMatchObject(unavailable);
  await expect(blobs.stat(key)).rejects.toMatchObject(unavailable);
  await expect(blobs.remove(key)).rejects.toMatchObject(unavailable);
  await expect(blobs.put(key, Buffer.from('x'), { replace: 'any' })).rejects.toMatchObject(unavailable);
  s3.down = false;
  expect(await text()).toBe('here');
});

test('a CDN is told what it may keep', async () => {
  await blobs.put('metadata/timestamp.json', Buffer.from('{}'), { replace: 'any' });
  await blobs.put('targets/acme.dc150/0.fw.bin', LARGE, { replace: 'any' });
  expect(s3.headers('tidegate/metadata/timestamp.json')).toMatchObject({ 'cache-control': 'no-store' });
  expect(s3.headers('tidegate/targets/acme.dc150/0.fw.bin')?.['cache-control']).toContain('immutable');
});

function asked(operation: string): (number | 'cut')[] {
  return s3.log.filter((each) => each.operation === operation).map(({ status }) => status);
}

async function bytes(range?: { start: number; end: number }): Promise<Buffer> {
  const blob = await blobs.get(key, range);
  return Buffer.concat((await blob!.body.toArray()) as Buffer[]);
}

async function text(): Promise<string> {
  return (await bytes()).toString();
}
