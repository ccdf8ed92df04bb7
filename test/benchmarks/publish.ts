/** What it costs to publish ten images into a repository that holds thousands, and to author and verify one role of ten thousand. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { sql } from 'kysely';
import { type Db, openDatabase } from '@tidegate/server/db';
import { fileBlobs } from '@tidegate/signer/repository';
import { type Built, Desk, digest, START } from '../../server/publishing/desk.fixture.ts';
import { startPostgresServer } from '../support/postgres-server.ts';
import { measureLargeRole } from './large-role.ts';
import type { Benchmark } from './main.ts';

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
    const open: Repository[] = [];
    try {
      for (const products of [PRODUCTS, 2 * PRODUCTS]) {
        open.push(await openRepository(await server.create(`of_${products}`), products, say));
      }
      const [few, many] = open;
      if (few === undefined || many === undefined) throw new Error('Two repositories.');
      // In turns, so that whatever else the machine does meets both.
      for (let i = 0; i < REPETITIONS; i++) for (const one of open) await publishTen(one, i);
      const floor = await measureFloor(few);
      const role = await measureLargeRole(say);
      const growth = quantile(publicationsOf(many), 0.5) / quantile(publicationsOf(few), 0.5);
      say(`Twice as many other products: ${growth.toFixed(2)} times the time.`);
      for (const one of open) say(`${one.products * RELEASES} targets: ${JSON.stringify(figuresOf(one))}`);
      const figures = figuresOf(few);
      const ratio = round(figures.publishP50Ms / floor);
      say(
        `The floor (every byte hashed and synced once, signatures, one transaction): ${floor.toFixed(1)} ms; ratio ${ratio}.`,
      );
      const { publishP50Ms, publishP95Ms } = figures;
      return { publishP50Ms, publishP95Ms, ...role };
    } finally {
      for (const { desk, db } of open) {
        await desk.close();
        await db.destroy();
      }
      await server.remove();
    }
  },
};

interface Repository {
  products: number;
  desk: Desk;
  db: Db;
  /** One for each repetition, in ms. */
  runs: { upload: number; publication: number }[];
}

async function openRepository(
  url: string,
  products: number,
  say: (line: string) => void,
): Promise<Repository> {
  const db = openDatabase(url, { connections: 5 });
  const names = Array.from({ length: products }, (_, i) => `acme.p${String(i).padStart(2, '0')}`);
  const desk = await Desk.open(db, 'acme', names);
  const began = performance.now();
  await seed(desk);
  say(`${products * RELEASES} targets in ${products} products (${seconds(performance.now() - began)} s).`);
  return { products, desk, db, runs: [] };
}

const publicationsOf = ({ runs }: Repository): number[] => runs.map(({ publication }) => publication);

function figuresOf({ runs }: Repository) {
  const whole = runs.map(({ upload, publication }) => upload + publication);
  const publications = runs.map(({ publication }) => publication);
  return {
    publishP50Ms: round(quantile(whole, 0.5)),
    publishP95Ms: round(quantile(whole, 0.95)),
    publicationP50Ms: round(quantile(publications, 0.5)),
  };
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

async function publishTen({ desk, runs }: Repository, repetition: number): Promise<void> {
  const product = desk.products[repetition % desk.products.length] ?? '';
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
  runs.push({ upload: uploaded - start, publication: performance.now() - uploaded });
}

/** What nobody can do without: every byte hashed and synced once, two signatures, one transaction. In ms. */
async function measureFloor({ db, desk }: Repository): Promise<number> {
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
      await db.transaction().execute(async (trx) => {
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

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? 0;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
