/**
 * Notes what a program asks of `node:fs/promises`, which does it all the same, and says what a power cut would have left of it:
 * bytes count once their file was synced, names once their folder was. POSIX fsync(2) promises no more.
 */
import type * as promises from 'node:fs/promises';
import { dirname } from 'node:path';

type Fs = typeof promises;

export type Call =
  | { call: 'mkdir'; path: string }
  | { call: 'open'; path: string; file: number; truncates: boolean }
  | { call: 'write'; file: number; bytes: Buffer }
  | { call: 'truncate'; file: number; size: number }
  | { call: 'sync'; file: number }
  | { call: 'syncFolder'; path: string }
  | { call: 'rename'; from: string; to: string }
  | { call: 'remove'; path: string };

/** Every call since the test emptied it. */
export const calls: Call[] = [];
let files = 0;

/** The module with its changing calls noted. */
export function recorded(fs: Fs): Fs {
  const open = async (path: string, flags: string, mode?: number): Promise<promises.FileHandle> => {
    const handle = await fs.open(path, flags, mode);
    const file = files++;
    const folder = (await handle.stat()).isDirectory();
    if (!folder && flags !== 'r') calls.push({ call: 'open', path, file, truncates: flags === 'w' });
    return new Proxy(handle, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          note(String(name), args, { path, file, folder });
          return Reflect.apply(value, target, args);
        };
      },
    });
  };
  return {
    ...fs,
    open: open as Fs['open'],
    mkdir: ((path: string, options: object) => {
      calls.push({ call: 'mkdir', path });
      return fs.mkdir(path, options);
    }) as Fs['mkdir'],
    rename: (from, to) => {
      calls.push({ call: 'rename', from: String(from), to: String(to) });
      return fs.rename(from, to);
    },
    rm: (path, options) => {
      calls.push({ call: 'remove', path: String(path) });
      return fs.rm(path, options);
    },
  };
}

function note(method: string, args: unknown[], at: { path: string; file: number; folder: boolean }): void {
  const { path, file, folder } = at;
  const [bytes, from = 0, length] = args as [Uint8Array, number?, number?];
  if (method === 'sync') calls.push(folder ? { call: 'syncFolder', path } : { call: 'sync', file });
  if (method === 'truncate') calls.push({ call: 'truncate', file, size: Number(args[0] ?? 0) });
  if (method === 'writeFile') calls.push({ call: 'write', file, bytes: Buffer.from(bytes) });
  if (method === 'write') {
    const end = length === undefined ? bytes.length : from + length;
    calls.push({ call: 'write', file, bytes: Buffer.from(bytes.subarray(from, end)) });
  }
}

/** What reaches the medium before it must: nothing, or every name while its bytes are still on their way. */
export type Medium = 'lazy' | 'names first';

interface Inode {
  now: Buffer;
  kept: Buffer;
}

/** Files below `root`, which was there before, by path: as they are after a power cut that followed these calls. */
export function afterPowerCut(root: string, before: readonly Call[], medium: Medium): Map<string, string> {
  const now = new Map<string, Inode>();
  const kept = new Map<string, Inode>();
  const folders = new Set([root]);
  const keptFolders = new Set([root]);
  const open = new Map<number, Inode>();
  const keepNames = (folder: string): void => {
    for (const path of new Set([...now.keys(), ...kept.keys()])) {
      if (dirname(path) !== folder) continue;
      const inode = now.get(path);
      if (inode) kept.set(path, inode);
      else kept.delete(path);
    }
    for (const path of folders) if (dirname(path) === folder) keptFolders.add(path);
  };
  for (const call of before) {
    switch (call.call) {
      case 'mkdir':
        for (let path = call.path; path.startsWith(root); path = dirname(path)) folders.add(path);
        break;
      case 'open': {
        const inode = now.get(call.path) ?? { now: Buffer.alloc(0), kept: Buffer.alloc(0) };
        if (call.truncates) inode.now = Buffer.alloc(0);
        now.set(call.path, inode);
        open.set(call.file, inode);
        break;
      }
      case 'write':
        change(open.get(call.file), (bytes) => Buffer.concat([bytes, call.bytes]));
        break;
      case 'truncate':
        change(open.get(call.file), (bytes) => bytes.subarray(0, call.size));
        break;
      case 'sync': {
        const inode = open.get(call.file);
        if (inode) inode.kept = inode.now;
        break;
      }
      case 'syncFolder':
        keepNames(call.path);
        break;
      case 'rename': {
        const inode = now.get(call.from);
        if (inode) now.set(call.to, inode);
        now.delete(call.from);
        break;
      }
      case 'remove':
        now.delete(call.path);
        break;
    }
    if (medium === 'names first') for (const folder of folders) keepNames(folder);
  }
  const reachable = (path: string): boolean =>
    path === root || (keptFolders.has(path) && reachable(dirname(path)));
  const left = [...kept].filter(([path]) => reachable(dirname(path)));
  return new Map(left.map(([path, inode]) => [path.slice(root.length + 1), inode.kept.toString()]));
}

function change(inode: Inode | undefined, how: (bytes: Buffer) => Buffer): void {
  if (inode) inode.now = how(inode.now);
}
