/** `Files` in memory, which can lose power before any one write. */
import type { AppendFile, Files } from '../files.ts';

export class PowerCut extends Error {
  override readonly name = 'PowerCut';
}

export interface MemoryFiles extends Files {
  readonly contents: Map<string, Buffer>;
  /** How many changes still succeed; the next one throws a `PowerCut`. */
  changesLeft: number;
  changes: number;
}

export function memoryFiles(): MemoryFiles {
  const contents = new Map<string, Buffer>();
  const files: MemoryFiles = {
    contents,
    changesLeft: Infinity,
    changes: 0,
    path: (path) => `/memory/${path}`,
    async read(path, maxBytes = 1024 * 1024) {
      const found = contents.get(path);
      return found !== undefined && found.length <= maxBytes ? Buffer.from(found) : undefined;
    },
    async write(path, bytes) {
      spend();
      contents.set(path, Buffer.from(bytes));
    },
    async remove(path) {
      spend();
      contents.delete(path);
    },
    async rename(from, to) {
      spend();
      contents.set(to, contents.get(from) ?? Buffer.alloc(0));
      contents.delete(from);
    },
    async list(folder) {
      const below = [...contents.keys()].filter((path) => path.startsWith(`${folder}/`));
      return below
        .map((path) => path.slice(folder.length + 1))
        .filter((name) => !name.includes('/'))
        .sort();
    },
    async open(path) {
      if (!contents.has(path)) contents.set(path, Buffer.alloc(0));
      return appendTo(path);
    },
  };

  function spend(): void {
    if (files.changesLeft-- <= 0) throw new PowerCut();
    files.changes++;
  }

  function appendTo(path: string): AppendFile {
    const now = () => contents.get(path) ?? Buffer.alloc(0);
    return {
      get size() {
        return now().length;
      },
      async append(chunk) {
        spend();
        contents.set(path, Buffer.concat([now(), chunk]));
      },
      async *chunks() {
        yield now();
      },
      async truncate(size) {
        contents.set(path, now().subarray(0, size));
      },
      async sync() {},
      async close() {},
    };
  }

  return files;
}
