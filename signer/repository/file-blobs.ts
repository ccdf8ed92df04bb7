import { createHash, randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { folderLock } from './folder-lock.ts';
import { putInPlace, syncFolder } from '../whole-file.ts';
import {
  type Blob,
  type BlobBody,
  BlobError,
  type BlobStat,
  type BlobStore,
  type ByteRange,
  checkKey,
  checkRange,
  type PutOptions,
} from './blob-store.ts';

/** Below the root, so that a rename stays on one file system; no key reaches it, because it begins with a dot. */
const ASIDE = '.aside';
/** Its lock, in the same folder. */
const LOCK = 'lock';
/** What a killed process left aside is removed when nothing can be writing it any more. */
const ASIDE_AGE_MS = 24 * 60 * 60 * 1000;

/**
 * Blobs as files below a folder. A put is written aside, synced, moved into place, and its folder synced. A link keeps two writers
 * from one new name; whoever replaces or removes holds the folder's lock, so that what was compared is what is replaced.
 */
export function fileBlobs(root: string): BlobStore {
  const alone = folderLock(join(root, ASIDE, LOCK));
  let swept = false;
  const pathOf = (key: string): string => {
    checkKey(key);
    return join(root, ...key.split('/'));
  };

  return {
    async put(key, body, options = {}) {
      const path = pathOf(key);
      const aside = join(root, ASIDE, randomBytes(12).toString('hex'));
      await reach(key, async () => {
        await mkdir(join(root, ASIDE), { recursive: true, mode: 0o700 });
        if (!swept) await sweep(join(root, ASIDE));
      });
      swept = true;
      try {
        await writeAside(aside, key, body, options);
        return await reach(key, async () => {
          await makeFolder(root, dirname(path));
          return options.replace === undefined
            ? await move(aside, path, key, options)
            : await alone(() => move(aside, path, key, options));
        });
      } finally {
        await rm(aside, { force: true });
      }
    },

    async get(key, range) {
      const path = pathOf(key);
      return reach(key, async () => {
        const handle = await openToRead(path);
        return handle === undefined ? undefined : read(handle, key, range);
      });
    },

    async stat(key) {
      const path = pathOf(key);
      return reach(key, async () => {
        const found = await stat(path, { bigint: true }).catch(ifMissing(undefined));
        return found?.isFile() ? statOf(found) : undefined;
      });
    },

    async remove(key) {
      const path = pathOf(key);
      return reach(key, async () => {
        const found = await stat(path).catch(ifMissing(undefined));
        if (!found?.isFile()) return;
        await mkdir(join(root, ASIDE), { recursive: true, mode: 0o700 });
        await alone(() => rm(path, { force: true }));
        await syncFolder(dirname(path)).catch(ifMissing(undefined));
      });
    },
  };
}

async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    // Whoever opens it again would hold another lock than who holds it now.
    if (name === LOCK) continue;
    const path = join(folder, name);
    const left = await stat(path).catch(ifMissing(undefined));
    if (left !== undefined && left.mtimeMs < Date.now() - ASIDE_AGE_MS) await rm(path, { force: true });
  }
}

async function writeAside(aside: string, key: string, body: BlobBody, options: PutOptions): Promise<void> {
  const { expect } = options;
  const hash = createHash('sha256');
  let length = 0;
  const handle = await reach(key, () => open(aside, 'wx', 0o644));
  try {
    for await (const chunk of body instanceof Uint8Array ? [body] : body) {
      length += chunk.length;
      // Before the write: an endless body stops here and not at a full disk.
      if (expect !== undefined && length > expect.length) throw new BlobError('BLOB_LENGTH', key);
      hash.update(chunk);
      await reach(key, () => handle.writeFile(chunk));
    }
    if (expect !== undefined && length !== expect.length) throw new BlobError('BLOB_LENGTH', key);
    if (expect !== undefined && hash.digest('hex') !== expect.sha256) throw new BlobError('BLOB_DIGEST', key);
    await reach(key, () => handle.sync());
  } finally {
    await handle.close();
  }
}

async function move(aside: string, path: string, key: string, options: PutOptions): Promise<BlobStat> {
  const { replace } = options;
  if (replace !== undefined && replace !== 'any') {
    const now = await stat(path, { bigint: true }).catch(ifMissing(undefined));
    if (now === undefined || statOf(now).etag !== replace.etag) throw new BlobError('BLOB_CHANGED', key);
  }
  try {
    await putInPlace(aside, path, replace === undefined);
  } catch (cause) {
    if (isSystemError(cause, 'EEXIST')) throw new BlobError('BLOB_EXISTS', key, { cause });
    throw cause;
  }
  await syncFolder(dirname(path));
  return statOf(await stat(path, { bigint: true }));
}

async function read(handle: FileHandle, key: string, range: ByteRange | undefined): Promise<Blob> {
  try {
    const found = statOf(await handle.stat({ bigint: true }));
    if (range !== undefined) checkRange(key, range, found.length);
    return { stat: found, body: handle.createReadStream({ ...range, highWaterMark: 256 * 1024 }) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openToRead(path: string): Promise<FileHandle | undefined> {
  const handle = await open(path, 'r').catch(ifMissing(undefined));
  if (handle === undefined || (await handle.stat()).isFile()) return handle;
  await handle.close();
  return undefined;
}

/** Makes the folders below `root`, each synced into its parent. */
async function makeFolder(root: string, folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = folder; made !== root && made.length >= first.length; made = dirname(made)) {
    await syncFolder(dirname(made));
  }
}

/** A put makes a new inode with its own time, so no two versions share a tag. */
function statOf(found: { size: bigint; ino: bigint; mtimeNs: bigint }): BlobStat {
  const etag = [found.mtimeNs, found.size, found.ino].map((n) => n.toString(36)).join('-');
  return { length: Number(found.size), etag };
}

function ifMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (isSystemError(error, 'ENOENT') || isSystemError(error, 'ENOTDIR')) return value;
    throw error;
  };
}

/** A disk that is full, gone or not ours is a store that is unavailable. What a body throws is its own, and does not come through here. */
async function reach<T>(key: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const failed = cause instanceof Error && ('syscall' in cause || isSystemError(cause, 'ERR_SQLITE_ERROR'));
    throw failed ? new BlobError('BLOB_UNAVAILABLE', key, { cause }) : cause;
  }
}

function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
