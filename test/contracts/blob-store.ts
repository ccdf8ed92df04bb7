/** What every BlobStore must do, whatever it keeps its blobs in. */
import { createHash } from 'node:crypto';
import { BlobError, type BlobStore } from '@tidegate/signer/repository';
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

    it('lets one of many writers win', async () => {
      const first = await store.put(KEY, Buffer.from('0'));
      const writes = Array.from({ length: 8 }, (_, i) =>
        store.put(KEY, Buffer.from(`${i + 1}`), { replace: { etag: first.etag } }),
      );
      const won = (await Promise.allSettled(writes)).flatMap((write, i) =>
        write.status === 'fulfilled' ? [i + 1] : [],
      );
      expect(won).toHaveLength(1);
      expect(await text(store, KEY)).toBe(`${won[0]}`);
      const fresh = Array.from({ length: 8 }, () => store.put('fresh', Buffer.from('x')));
      expect((await Promise.allSettled(fresh)).filter(({ status }) => status === 'fulfilled')).toHaveLength(
        1,
      );
    });

    it('gives a tag to a version, also to one of the same bytes', async () => {
      const tags = new Set<string>();
      for (let i = 0; i < 5; i++)
        tags.add((await store.put(KEY, Buffer.from('same'), { replace: 'any' })).etag);
      expect(tags.size).toBe(5);
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
      ] as const) {
        await refuses('BLOB_RANGE', store.get(KEY, { start, end }));
      }
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
