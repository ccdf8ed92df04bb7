/** What it costs to publish ten images into a repository that holds thousands, and to author and verify one role of ten thousand. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { type Kysely, sql } from 'kysely';
import { type Db, openDatabase } from '@tidegate/server/db';
import { fileBlobs } from '@tidegate/signer/repository';
import { type Built, Desk, digest, START } from '../../server/publishing/desk.fixture.ts';
import { startPostgresServer } from '../support/postgres-server.ts';
import { measureLargeRole } from './large-role.ts';
import type { Benchmark, Figures } from './main.ts';

const PRODUCTS = 20;
const RELEASES = 275;
const IMAGES = 10;
const IMAGE_BYTES = 64 * 1024;
const CHARGERS = 50;
const REPETITIONS = 40;

export const publish: Benchmark = {
  what: `time to upload and publish ${IMAGES} images into ${PRODUCTS * RELEASES} targets of ${PRODUCTS} products, and into twice as many; a role of 10,000`,
  async run(say) {
    const server = await startPostgresServer({ durable: true });
    try {
      const few = await measureRepository(await server.create('few'), PRODUCTS, say);
      const many = await measureRepository(await server.create('many'), 2 * PRODUCTS, say);
      const role = await measureLargeRole(say);
      const growth = few.publishP50Ms === undefined ? 0 : (many.publishP50Ms ?? 0) / few.publishP50Ms;
      say(`Twice as many other products: ${growth.toFixed(2)} times the time.`);
      return { ...few, growth: round(growth), ...role };
    } finally {
      await server.remove();
    }
  },
};

async function measureRepository(url: string, products: number, say: (line: string) => void) {
  const db = openDatabase(url, { connections: 5 });
  const names = Array.from({ length: products }, (_, i) => `acme.p${String(i).padStart(2, '0')}`);
  const desk = await Desk.open(db, 'acme', names);
  try {
    const began = performance.now();
    await seed(desk);
    say(`${products * RELEASES} targets in ${products} products (${seconds(performance.now() - began)} s).`);
    const floor = await measureFloor(db, desk);
    const uploads: number[] = [];
    const publications: number[] = [];
    for (let i = 0; i < REPETITIONS; i++) {
      const one = await publishTen(desk, names[i % names.length] ?? '', i);
      uploads.push(one.upload);
      publications.push(one.publication);
    }
    const whole = uploads.map((upload, i) => upload + (publications[i] ?? 0));
    const figures = {
      publishP50Ms: round(quantile(whole, 0.5)),
      publishP95Ms: round(quantile(whole, 0.95)),
      uploadP50Ms: round(quantile(uploads, 0.5)),
      publicationP50Ms: round(quantile(publications, 0.5)),
      floorMs: round(floor),
      ratio: round(quantile(whole, 0.5) / floor),
    };
    say(
      Object.entries(figures)
        .map((figure) => figure.join(' '))
        .join(', '),
    );
    return figures as Figures;
  } finally {
    await desk.close();
    await db.destroy();
  }
}

/** Through the same door as everything else, but without waiting for the disk. */
async function seed(desk: Desk): Promise<void> {
  const { blobs, staging } = desk.deps;
  await mkdir(staging, { recursive: true });
  const root = path.join(desk.folder, 'tuf');
  desk.deps.blobs = {
    ...blobs,
    async put(key, body) {
      const file = path.join(root, key);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, body);
      return { length: 0, etag: '' };
    },
  };
  await desk.bootstrap();
  for (const product of desk.products) {
    const built: Built[] = [];
    for (let i = 0; i < RELEASES; i++) built.push(await build(desk, product, i, built.at(-1)));
    for (const { image, bundle } of built) {
      for (const bytes of [image, bundle]) await writeFile(path.join(staging, digest(bytes)), bytes);
    }
    await desk.publishRole(await desk.listReleases(built, 2, product), [], product);
    await addChargers(desk.deps.db, product, built);
  }
  desk.deps.blobs = fileBlobs(root);
}

/** Falls back to the one before, as firmware does. */
function build(desk: Desk, product: string, n: number, before?: Pick<Built, 'target'>): Promise<Built> {
  const fallback = before && {
    path: before.target.path,
    sha256: before.target.sha256,
    expires: '2027-06-01T00:00:00Z',
    auto: true,
  };
  const custom = {
    fallback: fallback ? [fallback] : [],
    notes: `Build ${n}: corrects what build ${n - 1} did.`,
  };
  return desk.buildRelease(`1.${n}.0`, { product, size: IMAGE_BYTES, custom });
}

/** On the newest images, as most of a fleet is. */
async function addChargers(db: Db, product: string, built: Built[]): Promise<void> {
  const at = new Date(START);
  const site = { organisation: 'acme', id: 's', name: 's', type: 'depot', region: 'de', time_zone: 'UTC' };
  await db
    .insertInto('sites')
    .values({ ...site, created_at: at })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const rows = Array.from({ length: CHARGERS }, (_, i) => {
    const target = built.at(-1 - (i % 10))?.target;
    return {
      organisation: 'acme',
      serial: `${product}-${i}`,
      product,
      hardware: 'dc150-r2',
      site: 's',
      state: 'ACTIVE' as const,
      stratum: 'x',
      cohort_key: i,
      running_sha256: target?.sha256 ?? '',
      running_version: target?.custom.version ?? '',
      running_security_version: 1,
    };
  });
  await db.insertInto('chargers').values(rows).execute();
}

async function publishTen(desk: Desk, product: string, repetition: number) {
  let before: Pick<Built, 'target'> | undefined;
  const built: Built[] = [];
  for (let i = 0; i < IMAGES; i++) {
    before = await build(desk, product, 1000 + repetition * IMAGES + i, before);
    built.push(before as Built);
  }
  const role = await desk.listReleases(built, 2, product);
  desk.clock.time += 60_000;
  const start = performance.now();
  await desk.upload(...built.flatMap(({ image, bundle }) => [image, bundle]));
  const uploaded = performance.now();
  await desk.publishRole(role, [], product);
  return { upload: uploaded - start, publication: performance.now() - uploaded };
}

/** What nobody can do without: every byte hashed and synced once, two signatures, one transaction. In ms. */
async function measureFloor(db: Kysely<never> | Db, desk: Desk): Promise<number> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tidegate-floor-'));
  const image = randomBytes(IMAGE_BYTES);
  const document = randomBytes(4096);
  const runs: number[] = [];
  try {
    for (let run = 0; run < 10; run++) {
      const start = performance.now();
      const files = [
        ...Array.from({ length: IMAGES }, () => image),
        ...Array.from({ length: IMAGES + 3 }, () => document),
      ];
      for (const [i, bytes] of files.entries()) {
        createHash('sha256').update(bytes).digest();
        const file = await open(path.join(folder, `${run}-${i}`), 'wx');
        await file.writeFile(bytes);
        await file.sync();
        await file.close();
      }
      for (const key of [desk.deps.keys.snapshot, desk.deps.keys.timestamp]) await key.sign(document);
      await (db as Db).transaction().execute(async (trx) => {
        // Read, write, audit.
        for (let i = 0; i < 3; i++) await sql`select 1`.execute(trx);
        await sql`update repository set updated_at = now()`.execute(trx);
      });
      runs.push(performance.now() - start);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  return quantile(runs, 0.5);
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? 0;
}

export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
