/**
 * A real image to update to: U-Boot for ARM from Debian's packages, in a RAUC bundle where RAUC is installed. Without either, the
 * beginning of the Node binary that the lock file pins, as a raw image. What is fetched is kept, so that a second run fetches nothing.
 */
import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

const PACKAGE = 'u-boot-qemu';
const UBOOT = 'usr/lib/u-boot/qemu_arm64/u-boot.bin';
/** A mirror that does not answer must not hold the demo up. */
const FETCH_MS = 20_000;

const MIB = 1024 * 1024;
/**
 * Of Node's 120 MiB. All of them, two slots on 60 chargers, would be 14 GB of disk, and their downloads alone longer than the demo; of
 * the same order as U-Boot they ask of the machine what U-Boot does.
 */
const NODE_MIB = 4;

export interface Payload {
  file: string;
  /** What it is, for the report. */
  what: string;
}

/** The bytes that the demo's releases are made of. `cache` outlives a run. Rejects when interrupted. */
export async function payload(cache: string, signal: AbortSignal): Promise<Payload> {
  await mkdir(cache, { recursive: true });
  const uboot = path.join(cache, 'u-boot.bin');
  if (existsSync(uboot) || (await fetchUboot(cache, uboot, signal))) {
    return { file: uboot, what: 'U-Boot for ARM64 from Debian' };
  }
  signal.throwIfAborted();
  const file = await beginningOfNode(cache, signal);
  return { file, what: `Node ${process.version}, its first ${NODE_MIB} MiB, as a raw image` };
}

/** Whether Debian's package could be had; every way in which it cannot ends in the other image. */
async function fetchUboot(cache: string, into: string, signal: AbortSignal): Promise<boolean> {
  const folder = await mkdtemp(path.join(cache, 'fetch-'));
  const patience = { cwd: folder, timeout: FETCH_MS, signal };
  try {
    await run('apt-get', ['download', PACKAGE], patience);
    const deb = (await readdir(folder)).find((name) => name.endsWith('.deb'));
    if (deb === undefined) return false;
    await run('dpkg-deb', ['-x', deb, 'unpacked'], patience);
    await rename(path.join(folder, 'unpacked', UBOOT), into);
    return true;
  } catch {
    return false;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function beginningOfNode(cache: string, signal: AbortSignal): Promise<string> {
  const file = path.join(cache, `node-${process.version}-${NODE_MIB}mib.bin`);
  if (existsSync(file)) return file;
  const part = `${file}.part`;
  const beginning = createReadStream(process.execPath, { end: NODE_MIB * MIB - 1 });
  await pipeline(beginning, createWriteStream(part), { signal });
  await rename(part, file);
  return file;
}

/** A raw image of one version: the payload and a trailer that makes its bytes this version's own. */
export async function rawImage(from: string, version: string, into: string): Promise<void> {
  await copyFile(from, into);
  await writeFile(into, `\nversion=${version}\n`, { flag: 'a' });
}
