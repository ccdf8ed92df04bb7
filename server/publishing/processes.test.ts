/** Three processes on one PostgreSQL and one store publish different products at once: none of it is lost. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { PrivateKey } from '@tidegate/signer/keys';
import { metadataKey } from '@tidegate/signer/repository';
import { testDatabase } from '../../test/support/postgres.ts';
import { verifyAudit } from '../audit/index.ts';
import { loadCurrent, readBlob, sha256Of } from './current.ts';
import { Desk, text } from './desk.fixture.ts';
import { isFenced, type Publication } from './index.ts';
import type { Orders } from './publisher-process.fixture.ts';

const PRODUCTS = ['acme.one', 'acme.two', 'acme.three'];
const EACH = 8;
let desk: Desk;
let url: string;

beforeEach(async () => {
  const database = await testDatabase();
  ({ url } = database);
  desk = await Desk.open(database.db, 'acme', PRODUCTS);
  await desk.bootstrap();
});
afterEach(() => desk.close());

/** Releases of one product, one after the other, each with its files in staging. */
async function prepare(product: string): Promise<Publication[]> {
  const publications: Publication[] = [];
  for (let i = 0; i < EACH; i++) {
    const built = await desk.buildRelease(`1.${i}.0`, { product });
    await desk.upload(built.image, built.bundle);
    const role = await desk.listReleases([built], 2, product);
    desk.roles.set(product, role);
    const whole = { roots: [], targets: null, policy: null, sigstoreRoot: null, strand: [] };
    publications.push({ ...whole, products: { [product]: text(role) } });
  }
  return publications;
}

async function run(orders: Orders): Promise<{ versions?: Record<string, number>[]; error?: string }> {
  const child = fork(fileURLToPath(new URL('publisher-process.fixture.ts', import.meta.url)));
  try {
    child.send(orders);
    const [answer] = (await once(child, 'message', { signal: AbortSignal.timeout(50_000) })) as [never];
    return answer;
  } finally {
    child.kill('SIGKILL');
  }
}

test('every publication of every process is there in the end', async () => {
  const { deps, clock } = desk;
  const pem = (key: unknown) =>
    (key as PrivateKey).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const keys = { snapshot: pem(deps.keys.snapshot), timestamp: pem(deps.keys.timestamp) };
  const orders = await Promise.all(
    PRODUCTS.map(async (product) => ({
      url,
      tuf: `${desk.folder}/tuf`,
      staging: deps.staging,
      now: clock.time,
      keys,
      publications: await prepare(product),
    })),
  );
  const answers = await Promise.all(orders.map(run));
  expect(answers.map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
  const row = await deps.db.selectFrom('repository').selectAll().executeTakeFirstOrThrow();
  const last = Object.fromEntries(PRODUCTS.map((product) => [product, EACH + 1]));
  expect(row.roles).toEqual(last);
  const { roles } = await loadCurrent(deps, row);
  for (const [product, meta] of roles) {
    const bytes = await readBlob(deps.blobs, metadataKey(product, EACH + 1));
    expect([meta.version, meta.hashes?.sha256]).toEqual([EACH + 1, sha256Of(bytes)]);
    expect(bytes.toString()).toBe(text(desk.role(product)));
  }
  expect((await readBlob(deps.blobs, 'metadata/timestamp.json')).toString()).toBe(row.timestamp_json);
  expect(await isFenced(deps)).toBe(false);
  const { n } = await deps.db
    .selectFrom('releases')
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow();
  expect(n).toBe(PRODUCTS.length * EACH);
  expect(await verifyAudit(deps.db, 'acme')).toMatchObject({
    ok: true,
    head: { position: 1 + PRODUCTS.length * EACH },
  });
});
