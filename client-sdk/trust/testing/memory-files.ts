/**
 * `Files` in memory, which can lose power before any one change. A cut takes what the port does not promise to keep: bytes that were
 * appended, or cut off, and not synced.
 */
import type { AppendFile, Files } from '../files.ts';

export class PowerCut extends Error {
  override readonly name = 'PowerCut';
}

/** What a cut does to bytes that were not synced: they never reached the medium, or only some did and zeros stand for the rest. */
export type Loss = 'lost' | 'torn';

export interface MemoryFiles extends Files {
  readonly contents: Map<string, Buffer>;
  /** How many changes still succeed; the next one throws a `PowerCut`, and so does each after it. */
  changesLeft: number;
  changes: number;
  /** How many changes fit; from then on the disk is full: what would put bytes on it throws ENOSPC, and what takes them away works. */
  spaceLeft: number;
  /** Whether the medium lacks something that is in `contents`. */
  readonly unsynced: boolean;
  /** The power goes; it is back at once, and what the cut has left is in `contents`. */
  losePower(loss: Loss): void;
}

/** @param from what is on the medium already */
export function memoryFiles(from: Iterable<readonly [string, Buffer]> = []): MemoryFiles {
  const contents = new Map(from);
  /** What the medium holds of files whose changes were not synced. */
  const unsynced = new Map<string, Buffer>();
  const files: MemoryFiles = {
    contents,
    changesLeft: Infinity,
    changes: 0,
    spaceLeft: Infinity,
    get unsynced() {
      return unsynced.size > 0;
    },
    losePower(loss) {
      for (const [path, kept] of unsynced) {
        contents.set(path, loss === 'lost' ? kept : torn(kept, contents.get(path) ?? kept));
      }
      unsynced.clear();
      files.changesLeft = Infinity;
    },
    path: (path) => `/memory/${path}`,
    async read(path, maxBytes = 1024 * 1024) {
      const found = contents.get(path);
      return found !== undefined && found.length <= maxBytes ? Buffer.from(found) : undefined;
    },
    async write(path, bytes) {
      spend(true);
      contents.set(path, Buffer.from(bytes));
      unsynced.delete(path);
    },
    async remove(path) {
      spend(false);
      contents.delete(path);
      unsynced.delete(path);
    },
    async rename(from, to) {
      spend(false);
      contents.set(to, contents.get(from) ?? Buffer.alloc(0));
      contents.delete(from);
      const kept = unsynced.get(from);
      unsynced.delete(from);
      unsynced.delete(to);
      if (kept) unsynced.set(to, kept);
    },
    async list(folder) {
      const below = [...contents.keys()].filter((path) => path.startsWith(`${folder}/`));
      return below
        .map((path) => path.slice(folder.length + 1))
        .filter((name) => !name.includes('/'))
        .sort();
    },
    async open(path) {
      if (!contents.has(path)) {
        spend(true);
        contents.set(path, Buffer.alloc(0));
      }
      return appendTo(path);
    },
  };

  function spend(grows: boolean): void {
    if (files.changesLeft-- <= 0) throw new PowerCut();
    if (files.spaceLeft-- <= 0 && grows) {
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    }
    files.changes++;
  }

  function appendTo(path: string): AppendFile {
    const now = () => contents.get(path) ?? Buffer.alloc(0);
    const change = (bytes: Buffer): void => {
      spend(bytes.length > now().length);
      if (!unsynced.has(path)) unsynced.set(path, now());
      contents.set(path, bytes);
    };
    return {
      get size() {
        return now().length;
      },
      async append(chunk) {
        change(Buffer.concat([now(), chunk]));
      },
      async *chunks() {
        yield now();
      },
      async truncate(size) {
        if (size !== now().length) change(now().subarray(0, size));
      },
      async sync() {
        if (!unsynced.has(path)) return;
        spend(false);
        unsynced.delete(path);
      },
      async close() {},
    };
  }

  return files;
}

/** The file has its new length, and the first half of what was added to it. */
function torn(kept: Buffer, now: Buffer): Buffer {
  const written = kept.length + Math.ceil((now.length - kept.length) / 2);
  return now.length <= kept.length ? now : Buffer.concat([now.subarray(0, written)], now.length);
}
