/** `Files` on a disk that may lose power at any moment. */
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { AppendFile, Files } from './files.ts';

const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9._+-]*$/;
/** What a write in progress is called. A power cut leaves at most this one, and the next write replaces it. */
const ASIDE = '.new~';
const CHUNK_BYTES = 64 * 1024;
const DEFAULT_MAX_BYTES = 1024 * 1024;

/** @param folder is made at the first write. One process at a time may use it. */
export function diskFiles(folder: string): Files {
  const root = resolve(folder);
  const at = (path: string) => join(root, ...segments(path));
  return {
    path: at,
    read: (path, maxBytes = DEFAULT_MAX_BYTES) => readWhole(at(path), maxBytes),
    write: (path, bytes) => writeWhole(root, at(path), bytes),
    async remove(path) {
      await rm(at(path), { force: true });
      await syncFolder(dirname(at(path)));
    },
    async rename(from, to) {
      await makeFolder(root, dirname(at(to)));
      await rename(at(from), at(to));
      await syncFolder(dirname(at(to)));
      await syncFolder(dirname(at(from)));
    },
    async list(name) {
      const entries = await readdir(at(name), { withFileTypes: true }).catch(unlessMissing);
      const found = (entries ?? []).filter((entry) => entry.isFile() && !entry.name.endsWith(ASIDE));
      return found.map((entry) => entry.name).sort();
    },
    async open(path) {
      await makeFolder(root, dirname(at(path)));
      return openAppend(at(path));
    },
  };
}

/** A path from a stranger must not leave the folder. */
function segments(path: string): string[] {
  const parts = path.split('/');
  const bad = parts.find((part) => !SEGMENT.test(part));
  if (bad !== undefined) throw new TypeError(`${JSON.stringify(path)} is not a path below the folder`);
  return parts;
}

async function readWhole(path: string, maxBytes: number): Promise<Buffer | undefined> {
  const file = await open(path, 'r').catch(unlessMissing);
  if (file === undefined) return undefined;
  try {
    const found = await file.stat();
    return found.isFile() && found.size <= maxBytes ? await file.readFile() : undefined;
  } finally {
    await file.close();
  }
}

/** Aside, fsync, rename, fsync of the folder: after a power cut there are the old bytes or the new, never half. */
async function writeWhole(root: string, path: string, bytes: Uint8Array): Promise<void> {
  await makeFolder(root, dirname(path));
  const aside = path + ASIDE;
  const file = await open(aside, 'w', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(aside, path);
  await syncFolder(dirname(path));
}

async function openAppend(path: string): Promise<AppendFile> {
  const file = await open(path, 'a+', 0o600);
  let { size } = await file.stat();
  await syncFolder(dirname(path));
  return {
    get size() {
      return size;
    },
    async append(chunk) {
      await writeAll(file, chunk);
      size += chunk.length;
    },
    chunks: () => readChunks(file, size),
    async truncate(to) {
      if (to > size) throw new RangeError(`the file holds ${size} bytes, not ${to}`);
      await file.truncate(to);
      size = to;
    },
    sync: () => file.sync(),
    close: () => file.close(),
  };
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, null);
    done += bytesWritten;
  }
}

async function* readChunks(file: FileHandle, size: number): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < size;) {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size - position));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** A new folder is durable only once the folder that holds it is synced. */
async function makeFolder(root: string, folder: string): Promise<void> {
  if (await stat(folder).catch(unlessMissing)) return;
  if (folder !== root && folder.startsWith(root)) await makeFolder(root, dirname(folder));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await syncFolder(dirname(folder));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(unlessMissing);
  if (handle === undefined) return;
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
