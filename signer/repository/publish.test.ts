import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import {
  type BlobStore,
  memoryBlobs,
  type Publication,
  publishMetadata,
  putTimestamp,
  TIMESTAMP_KEY,
} from './index.ts';

const text = (value: string) => Buffer.from(value);
const digest = (value: string) => createHash('sha256').update(value).digest('hex');
const path = 'acme.dc150/fw.bin';
const imageKey = `targets/acme.dc150/${digest('image')}.fw.bin`;

function publication(change: Partial<Publication> = {}): Publication {
  return {
    files: [{ path, sha256: digest('image'), length: 5, open: () => text('image') }],
    products: new Map([['acme.dc150', { version: 2, bytes: text('role') }]]),
    targets: { version: 3, bytes: text('targets') },
    roots: [{ version: 1, bytes: text('root') }],
    snapshot: { version: 4, bytes: text('snapshot') },
    timestamp: { version: 5, bytes: text('timestamp') },
    replaces: null,
    ...change,
  };
}

/** Notes what was written; fails at the n-th write, as a power cut would. */
function watched(store: BlobStore, failAt = Infinity): { store: BlobStore; written: string[] } {
  const written: string[] = [];
  const put: BlobStore['put'] = async (key, body, options) => {
    if (written.length === failAt) throw new Error('power cut');
    const stat = await store.put(key, body, options);
    written.push(key);
    return stat;
  };
  return { written, store: { ...store, put } };
}

const ORDER = [
  imageKey,
  'metadata/2.acme.dc150.json',
  'metadata/3.targets.json',
  'metadata/4.snapshot.json',
  'metadata/1.root.json',
  'metadata/timestamp.json',
];

it('writes images first and the timestamp last', async () => {
  const { store, written } = watched(memoryBlobs());
  await publishMetadata(store, publication());
  expect(written).toEqual(ORDER);
});

it('publishes nothing when it is cut off, wherever, and finishes when it is run again', async () => {
  for (let failAt = 0; failAt < ORDER.length; failAt++) {
    const blobs = memoryBlobs();
    const cut = watched(blobs, failAt);
    await expect(publishMetadata(cut.store, publication())).rejects.toThrow('power cut');
    expect(await blobs.stat('metadata/timestamp.json')).toBeUndefined();
    const again = watched(blobs);
    await publishMetadata(again.store, publication());
    expect(again.written).toEqual(ORDER.slice(failAt));
  }
});

it('never puts other bytes under a name that does not change', async () => {
  const blobs = memoryBlobs();
  await publishMetadata(blobs, publication());
  const other = publication({ targets: { version: 3, bytes: text('TARGETS') } });
  await expect(publishMetadata(blobs, other)).rejects.toMatchObject({ code: 'BLOB_EXISTS' });
});

it('refuses an image that is not the signed one', async () => {
  const blobs = memoryBlobs();
  const file = { path, sha256: digest('image'), length: 5, open: () => text('IMAGE') };
  await expect(publishMetadata(blobs, publication({ files: [file] }))).rejects.toMatchObject({
    code: 'BLOB_DIGEST',
  });
  expect(await blobs.stat(imageKey)).toBeUndefined();
});

it('finds out that somebody else has published meanwhile', async () => {
  const blobs = memoryBlobs();
  const first = await publishMetadata(blobs, publication());
  const next = (version: number) =>
    publication({ timestamp: { version, bytes: text(`timestamp ${version}`) }, replaces: first });
  await publishMetadata(blobs, next(6));
  await expect(publishMetadata(blobs, next(7))).rejects.toMatchObject({ code: 'BLOB_CHANGED' });
  const other = publication({ timestamp: { version: 5, bytes: text('another first') } });
  await expect(publishMetadata(blobs, other)).rejects.toMatchObject({ code: 'BLOB_CHANGED' });
});

it('takes a timestamp for its own that it put before the answer was lost', async () => {
  const blobs = memoryBlobs();
  const first = await publishMetadata(blobs, publication());
  const deaf: BlobStore = {
    ...blobs,
    put: async (...args) => {
      await blobs.put(...args);
      return blobs.put(...args);
    },
  };
  await expect(putTimestamp(deaf, text('timestamp 6'), first)).resolves.toBeDefined();
  expect(await blobs.get(TIMESTAMP_KEY)).toBeDefined();
});
