import { randomBytes } from 'node:crypto';
import { link, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface WholeFileOptions {
  /** Permission bits of the file. Default 0o644. */
  mode?: number;
  /** Fails with `EEXIST` where the file is there already, also against another process. Default false. */
  exclusive?: boolean;
}

/**
 * Writes a file so that a reader, or a power cut, sees all of it or none: write aside, fsync, rename, fsync the folder.
 * Missing folders are made, readable by their owner alone.
 */
export async function writeWhole(
  path: string,
  bytes: Uint8Array | string,
  options: WholeFileOptions = {},
): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const aside = join(folder, `.aside-${randomBytes(8).toString('hex')}`);
  try {
    const handle = await open(aside, 'wx', options.mode ?? 0o644);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await putInPlace(aside, path, options.exclusive ?? false);
  } finally {
    await rm(aside, { force: true });
  }
  await syncFolder(folder);
}

/** A link fails where the name is taken, which a rename does not. */
export async function putInPlace(aside: string, path: string, exclusive: boolean): Promise<void> {
  if (exclusive) await link(aside, path);
  else await rename(aside, path);
}

/** Makes a rename or a link in `folder` survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
