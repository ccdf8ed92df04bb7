/** What every BlobStore must do, whatever it keeps its blobs in. */
import { createHash } from 'node:crypto';
import { type Blob, BlobError, type BlobStat, type BlobStore } from '@tidegate/signer/repository';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';

const KEY = 'targets/acme.dc150/abc.fw.bin';

/** @param open a new, empty store. */
export function blobStoreContract(name: string, open: () => Promise<BlobStore>): void {
  describe(`blob store contract: ${name}`, () => {
    let store: BlobStore;

    beforeEach(async () => {
      store = await open();
    });

    it('gives back what was put, whole and in ranges', async () => {
      const stat = await store.put(KEY, Buffer.from('0123456789'));
      expect(stat.length).toBe(10);
      expect(await store.stat(KEY)).toEqual(stat);
      expect(await text(store, KEY)).toBe('0123456789');
      expect(await text(store, KEY, { start: 3, end: 5 })).toBe('345');
      expect(await text(store, KEY, { start: 9, end: 9 })).toBe('9');
      const part = await read(store, KEY, { start: 0, end: 0 });
      part.body.destroy();
      expect(part.stat).toEqual(stat);
    });

    it('takes a stream, and an empty blob', async () => {
      await store.put(KEY, chunks('abc', '', 'def'));
      expect(await text(store, KEY)).toBe('abcdef');
      await store.put('empty', Buffer.alloc(0));
      expect(await text(store, 'empty')).toBe('');
    });

    it('takes a stream whose chunks come in the same memory', async () => {
      async function* reused() {
        const memory = Buffer.alloc(3);
        for (const chunk of ['abc', 'def']) {
          memory.write(chunk);
          yield memory;
          await Promise.resolve();
        }
      }
      await store.put(KEY, reused());
      expect(await text(store, KEY)).toBe('abcdef');
    });

    it('has nothing where nothing was put', async () => {
      expect(await store.stat(KEY)).toBeUndefined();
      expect(await store.get(KEY)).toBeUndefined();
      await store.remove(KEY);
      await store.put(KEY, Buffer.from('x'));
      expect(await store.get('targets/acme.dc150')).toBeUndefined();
      expect(await store.get(`${KEY}/below`)).toBeUndefined();
    });

    it('never changes a name unless told to', async () => {
      await store.put(KEY, Buffer.from('first'));
      await refuses('BLOB_EXISTS', store.put(KEY, Buffer.from('other')));
      expect(await text(store, KEY)).toBe('first');
    });

    it('replaces the version that is named, and no other', async () => {
      const first = await store.put(KEY, Buffer.from('first'));
      const second = await store.put(KEY, Buffer.from('second'), { replace: { etag: first.etag } });
      expect(second.etag).not.toBe(first.etag);
      await refuses('BLOB_CHANGED', store.put(KEY, Buffer.from('third'), { replace: { etag: first.etag } }));
      await refuses('BLOB_CHANGED', store.put('none', Buffer.from('x'), { replace: { etag: first.etag } }));
      expect(await text(store, KEY)).toBe('second');
      await store.put(KEY, Buffer.from('third'), { replace: 'any' });
      await store.put('new', Buffer.from('x'), { replace: 'any' });
      expect(await text(store, KEY)).toBe('third');
    });

    it('lets exactly one of many create, and one of many replace', async () => {
      for (let round = 0; round < 5; round++) {
        const key = `rounds/${round}`;
        const created = await race(8, 'BLOB_EXISTS', (i) => store.put(key, Buffer.from(`created by ${i}`)));
        expect(await text(store, key)).toBe(`created by ${created.winner}`);
        expect(await store.stat(key)).toEqual(created.stat);
        const replaced = await race(8, 'BLOB_CHANGED', (i) =>
          store.put(key, chunks('replaced ', `by ${i}`), { replace: created.stat }),
        );
        expect(await text(store, key)).toBe(`replaced by ${replaced.winner}`);
        expect(await store.stat(key)).toEqual(replaced.stat);
      }
    });

    it('counts right when many count at once, each from what it read', async () => {
      await store.put(KEY, Buffer.from('0'));
      const count = async () => {
        for (;;) {
          const { stat, body } = await read(store, KEY);
          const next = Number(Buffer.concat(await body.toArray()).toString()) + 1;
          try {
            return await store.put(KEY, Buffer.from(String(next)), { replace: stat });
          } catch (error) {
            if (!(error instanceof BlobError && error.code === 'BLOB_CHANGED')) throw error;
          }
        }
      };
      await Promise.all(Array.from({ length: 10 }, count));
      expect(await text(store, KEY)).toBe('10');
    });

    it('lets one of two that replace and remove at once be first', async () => {
      for (let round = 0; round < 10; round++) {
        const { etag } = await store.put(KEY, Buffer.from(`${round}`));
        await Promise.allSettled([
          store.put(KEY, Buffer.from('replaced'), { replace: { etag } }),
          store.remove(KEY),
        ]);
        expect([undefined, 'replaced']).toContain(await store.get(KEY).then(asText));
        await store.remove(KEY);
      }
    });

    it('gives other bytes another tag, and each version one that replaces it', async () => {
      const tags = new Set<string>();
      for (let i = 0; i < 5; i++) {
        const { etag } = await store.put(KEY, Buffer.from(`same length ${i}`), { replace: 'any' });
        expect(etag).toMatch(/^[!#-~]{1,200}$/);
        tags.add(etag);
      }
      expect(tags.size).toBe(5);
      const same = await store.put(KEY, Buffer.from('same length 4'), { replace: 'any' });
      await store.put(KEY, Buffer.from('after'), { replace: same });
      expect(await text(store, KEY)).toBe('after');
    });

    it('keeps a large body whole, and shows none of it before it is', async () => {
      const { bytes, expected } = large(1);
      expect(await store.put(KEY, watched(store, bytes), { expect: expected })).toMatchObject({
        length: LARGE,
      });
      expect(digest(await all(store, KEY))).toBe(expected.sha256);
      // Over the border between two parts, whatever their length.
      for (const start of [5 * MIB - 2, 8 * MIB - 2, 10 * MIB - 2]) {
        const part = await all(store, KEY, { start, end: start + 3 });
        expect(part).toEqual(bytes.subarray(start, start + 4));
      }
      await refuses('BLOB_EXISTS', store.put(KEY, large(2).bytes));
      const stat = await store.stat(KEY);
      const second = large(3);
      const replaced = await store.put(KEY, second.bytes, { expect: second.expected, replace: stat! });
      await refuses('BLOB_CHANGED', store.put(KEY, large(4).bytes, { replace: stat! }));
      expect(await store.stat(KEY)).toEqual(replaced);
      expect(digest(await all(store, KEY))).toBe(second.expected.sha256);
    });

    it('never shows a large body that is wrong or breaks off', async () => {
      const { bytes, expected } = large(5);
      const other = { ...expected, sha256: digest(Buffer.from('other')) };
      await refuses('BLOB_DIGEST', store.put(KEY, watched(store, bytes), { expect: other }));
      const longer = { ...expected, length: LARGE + 1 };
      await refuses('BLOB_LENGTH', store.put(KEY, watched(store, bytes), { expect: longer }));
      const shorter = { ...expected, length: LARGE - 1 };
      await refuses('BLOB_LENGTH', store.put(KEY, watched(store, bytes), { expect: shorter }));
      async function* broken() {
        yield bytes;
        yield bytes.subarray(0, 10);
        await Promise.resolve();
        throw new Error('connection lost');
      }
      await expect(store.put(KEY, broken())).rejects.toThrow('connection lost');
      expect(await store.stat(KEY)).toBeUndefined();
      const first = await store.put(KEY, Buffer.from('first'));
      await expect(store.put(KEY, broken(), { replace: first })).rejects.toThrow('connection lost');
      await refuses('BLOB_DIGEST', store.put(KEY, bytes, { expect: other, replace: 'any' }));
      expect(await text(store, KEY)).toBe('first');
      expect(await store.stat(KEY)).toEqual(first);
    });

    it('stores nothing that is not the expected bytes', async () => {
      const expectOf = (value: string) => ({
        expect: { sha256: createHash('sha256').update(value).digest('hex'), length: value.length },
      });
      await refuses('BLOB_DIGEST', store.put(KEY, Buffer.from('WHOLE'), expectOf('whole')));
      await refuses('BLOB_LENGTH', store.put(KEY, chunks('wh'), expectOf('whole')));
      await refuses('BLOB_LENGTH', store.put(KEY, endless(), expectOf('whole')));
      await expect(store.put(KEY, broken(), expectOf('whole'))).rejects.toThrow('connection lost');
      expect(await store.stat(KEY)).toBeUndefined();
      await store.put(KEY, chunks('wh', 'ole'), expectOf('whole'));
      expect(await text(store, KEY)).toBe('whole');
    });

    it('goes on giving a reader the version that it began with', async () => {
      await store.put(KEY, Buffer.alloc(300_000, 'a'));
      const { body } = await read(store, KEY);
      await store.put(KEY, Buffer.from('b'), { replace: 'any' });
      const bytes = Buffer.concat(await body.toArray());
      expect(bytes.equals(Buffer.alloc(300_000, 'a'))).toBe(true);
      await store.remove(KEY);
      expect(await store.get(KEY)).toBeUndefined();
    });

    it('refuses ranges outside the blob', async () => {
      await store.put(KEY, Buffer.from('0123456789'));
      for (const [start, end] of [
        [0, 10],
        [5, 4],
        [-1, 2],
        [0.5, 2],
        [10, 10],
        [10, 11],
        [0, Infinity],
        [NaN, NaN],
        [0, 2 ** 60],
      ] as const) {
        await refuses('BLOB_RANGE', store.get(KEY, { start, end }));
      }
      expect(await store.get('none', { start: 5, end: 4 })).toBeUndefined();
      expect(await store.get('none', { start: 0, end: 4 })).toBeUndefined();
      expect(await text(store, KEY, { start: 0, end: 9 })).toBe('0123456789');
      await store.put('empty', Buffer.alloc(0));
      await refuses('BLOB_RANGE', store.get('empty', { start: 0, end: 0 }));
    });

    it('refuses every key that is not plain parts', async () => {
      const bad = [
        '',
        '/',
        '..',
        '../x',
        'a/../b',
        'a//b',
        '/a',
        'a/',
        '.a',
        'a/.b',
        'a\\b',
        'a\0b',
        'a b',
        'a'.repeat(300),
        'a/'.repeat(8) + 'a',
      ];
      for (const key of bad) {
        await refuses('BLOB_KEY', store.put(key, Buffer.from('x')));
        await refuses('BLOB_KEY', store.get(key));
        await refuses('BLOB_KEY', store.stat(key));
        await refuses('BLOB_KEY', store.remove(key));
      }
    });

    it('takes the longest keys, and tells keys apart by case and by every sign', async () => {
      const keys = ['a'.repeat(255), 'a/b/c/d/e/f/g/h', 'Case', 'case', 'x.y', 'x_y', 'x+y', 'x-y', '1.json'];
      for (const key of keys) await store.put(key, Buffer.from(key));
      for (const key of keys) expect(await text(store, key)).toBe(key);
      await store.remove('x+y');
      expect(await store.stat('x+y')).toBeUndefined();
      expect(await text(store, 'x_y')).toBe('x_y');
    });

    it('keeps any bytes under any good key', async () => {
      const part = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,20}$/);
      await fc.assert(
        fc.asyncProperty(part, fc.uint8Array({ maxLength: 200 }), async (name, bytes) => {
          const key = `any/${name}/x`;
          await store.put(key, bytes, { replace: 'any' });
          expect(Buffer.concat(await (await read(store, key)).body.toArray()).equals(bytes)).toBe(true);
        }),
        { numRuns: 25, seed: 11 },
      );
    });
  });
}

async function read(store: BlobStore, key: string, range?: { start: number; end: number }) {
  const blob = await store.get(key, range);
  if (blob === undefined) throw new Error(`no blob ${key}`);
  return blob;
}

async function text(store: BlobStore, key: string, range?: { start: number; end: number }): Promise<string> {
  return Buffer.concat(await (await read(store, key, range)).body.toArray()).toString();
}

function asText(blob: Blob | undefined): Promise<string> | undefined {
  return blob?.body.toArray().then((parts) => Buffer.concat(parts as Buffer[]).toString());
}

async function all(store: BlobStore, key: string, range?: { start: number; end: number }): Promise<Buffer> {
  return Buffer.concat(await (await read(store, key, range)).body.toArray());
}

/** Exactly one of the writes is done, and the others are refused with the code. */
async function race(
  writers: number,
  code: BlobError['code'],
  write: (i: number) => Promise<BlobStat>,
): Promise<{ winner: number; stat: BlobStat }> {
  const done = await Promise.allSettled(Array.from({ length: writers }, (_, i) => write(i)));
  const won = done.flatMap((each, i) =>
    each.status === 'fulfilled' ? [{ winner: i, stat: each.value }] : [],
  );
  const lost = done.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
  expect(lost.map((error) => (error instanceof BlobError ? error.code : error))).toEqual(
    Array.from({ length: writers - 1 }, () => code),
  );
  return won[0]!;
}

const MIB = 1024 * 1024;
/** More than two parts of 5 MiB. */
const LARGE = 11 * MIB + 1;

function large(seed: number): { bytes: Buffer; expected: { sha256: string; length: number } } {
  const bytes = Buffer.alloc(LARGE, digest(Buffer.from(String(seed))));
  return { bytes, expected: { sha256: digest(bytes), length: LARGE } };
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The bytes in pieces of one MiB, between which the store shows nothing. */
async function* watched(store: BlobStore, bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += MIB) {
    yield bytes.subarray(at, at + MIB);
    expect(await store.stat(KEY)).toBeUndefined();
  }
}

async function refuses(code: BlobError['code'], work: Promise<unknown>): Promise<void> {
  await expect(work).rejects.toBeInstanceOf(BlobError);
  await expect(work).rejects.toMatchObject({ code });
}

async function* chunks(...parts: string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield Buffer.alloc(1024);
}

async function* broken(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('wh');
  throw new Error('connection lost');
}
