/**
 * A real image to update to: U-Boot for ARM from Debian's packages, in a RAUC bundle where RAUC is installed. Without either, the Node
 * binary that the lock file pins, compressed, as a raw image. What is fetched is kept, so that a second run fetches nothing.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';

const run = promisify(execFile);

const PACKAGE = 'u-boot-qemu';
const UBOOT = 'usr/lib/u-boot/qemu_arm64/u-boot.bin';

export interface Payload {
  file: string;
  /** What it is, for the report. */
  what: string;
}

/** The bytes that the demo's releases are made of. `cache` outlives a run. */
export async function payload(cache: string): Promise<Payload> {
  await mkdir(cache, { recursive: true });
  const uboot = path.join(cache, 'u-boot.bin');
  if (existsSync(uboot) || (await fetchUboot(cache, uboot))) {
    return { file: uboot, what: 'U-Boot for ARM64 from Debian' };
  }
  return { file: await compressedNode(cache), what: `Node ${process.version}, compressed, as a raw image` };
}

/** Whether Debian's package could be had; every way in which it cannot ends in the other image. */
async function fetchUboot(cache: string, into: string): Promise<boolean> {
  const folder = await mkdtemp(path.join(cache, 'fetch-'));
  try {
    await run('apt-get', ['download', PACKAGE], { cwd: folder, timeout: 60_000 });
    const deb = (await readdir(folder)).find((name) => name.endsWith('.deb'));
    if (deb === undefined) return false;
    await run('dpkg-deb', ['-x', deb, 'unpacked'], { cwd: folder, timeout: 60_000 });
    await rename(path.join(folder, 'unpacked', UBOOT), into);
    return true;
  } catch {
    return false;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compressedNode(cache: string): Promise<string> {
  const file = path.join(cache, `node-${process.version}.zst`);
  if (!existsSync(file)) {
    const bytes = await promisify(zstdCompress)(await readFile(process.execPath), {
      params: { [constants.ZSTD_c_compressionLevel]: 9 },
    });
    await writeFile(`${file}.part`, bytes);
    await rename(`${file}.part`, file);
  }
  return file;
}

/** A raw image of one version: the payload and a trailer that makes its bytes this version's own. */
export async function rawImage(from: string, version: string, into: string): Promise<void> {
  await copyFile(from, into);
  await writeFile(into, `\nversion=${version}\n`, { flag: 'a' });
}
