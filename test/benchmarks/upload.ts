/** What a firmware image of 1 GiB costs the service: uploaded, verified, published, as a release engineer does it. */
import { createHash } from 'node:crypto';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { HARDWARE, PRODUCT } from '../../demo/releases.ts';
import { install, type Installation } from '../support/installation.ts';
import { TestS3 } from '../support/s3/server.ts';
import type { Benchmark } from './main.ts';

const MIB = 1024 * 1024;
const IMAGE_MIB = 1024;

export const upload: Benchmark = {
  what: `peak memory of the service, and time, for an image of ${IMAGE_MIB} MiB: uploaded and published`,
  async run(say, store) {
    const s3 = store === 's3' ? await TestS3.start() : undefined;
    const settings = s3 === undefined ? {} : { TIDEGATE_STORE: s3.location(), ...s3.env };
    const installation = await install(undefined, settings);
    try {
      say(`A service at ${installation.url}.`);
      return await measure(installation, say);
    } finally {
      await installation.remove();
      await s3?.stop();
    }
  },
};

async function measure(installation: Installation, say: (line: string) => void) {
  const { people, folder } = installation;
  const image = path.join(folder, 'images', 'dc150-2.0.0.bin');
  const floorSeconds = await generate(image);
  say(`An image of ${IMAGE_MIB} MiB, hashed and written in ${floorSeconds.toFixed(2)} s.`);
  const small = path.join(folder, 'images', 'dc150-1.0.0.bin');
  await writeImage(small, 1);
  // Whatever the first release of all allocates (libraries, prepared statements) is not the image's.
  await propose(installation, small, '1.0.0');
  await people.as('erin', 'publish', `${PRODUCT}@1.0.0`);
  await propose(installation, image, '2.0.0');

  const pid = installation.pid();
  const before = await memoryNow(pid);
  const start = performance.now();
  await people.as('erin', 'publish', `${PRODUCT}@2.0.0`);
  const seconds = (performance.now() - start) / 1000;
  const after = await memory(pid, 'VmHWM');
  const { length } = await people.as<{ length: number }>('erin', 'release', 'show', `${PRODUCT}@2.0.0`);
  if (length !== IMAGE_MIB * MIB) throw new Error(`The service published ${length} bytes.`);
  return {
    rssGrowthMiB: round(after - before),
    rssBeforeMiB: round(before),
    seconds: round(seconds),
    floorSeconds: round(floorSeconds),
    ratio: round(seconds / floorSeconds),
  };
}

/** Signed by the build and by two release engineers. */
async function propose({ people }: Installation, image: string, version: string): Promise<void> {
  const facts = [
    '--product',
    PRODUCT,
    '--version',
    version,
    '--hardware',
    HARDWARE,
    '--security-version',
    '1',
  ];
  const bundle = `${image}.sigstore.json`;
  await people.as('erin', 'sign', image, ...facts, '--out', bundle);
  const more = ['--bundle', bundle, '--fallback', 'none', '--notes', 'benchmark'];
  await people.as('erin', 'release', 'propose', image, ...facts, ...more);
  await people.as('frank', 'release', 'cosign', `${PRODUCT}@${version}`);
}

/** Writes the image, then measures what no service can do without: the same bytes hashed, written and synced once, in one process. */
async function generate(file: string): Promise<number> {
  await writeImage(file, IMAGE_MIB);
  const copy = `${file}.floor`;
  const start = performance.now();
  const [source, target] = [await open(file), await open(copy, 'wx')];
  const hash = createHash('sha256');
  try {
    for await (const chunk of source.createReadStream({ highWaterMark: MIB }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      await target.writeFile(chunk);
    }
    hash.digest();
    await target.sync();
  } finally {
    await target.close();
    await source.close().catch(() => undefined);
  }
  const seconds = (performance.now() - start) / 1000;
  await rm(copy);
  return seconds;
}

/** No two MiB are alike, and none compresses. */
async function writeImage(file: string, mib: number): Promise<void> {
  const target = await open(file, 'wx');
  try {
    let chunk = createHash('sha512').update(file).digest();
    while (chunk.length < MIB)
      chunk = Buffer.concat([chunk, createHash('sha512').update(chunk).digest(), chunk]);
    chunk = chunk.subarray(0, MIB);
    for (let i = 0; i < mib; i++) {
      chunk.writeUInt32BE(i);
      await target.writeFile(chunk);
    }
  } finally {
    await target.close();
  }
}

/** MiB in memory; the peak begins anew here, else the one of the start would hide what follows. See proc(5), clear_refs. */
async function memoryNow(pid: number): Promise<number> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
  return memory(pid, 'VmRSS');
}

/** MiB. */
async function memory(pid: number, what: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kib = new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  if (kib === undefined) throw new Error(`This kernel does not tell ${what}.`);
  return Number(kib) / 1024;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
