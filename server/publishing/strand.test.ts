/** Whom a publication is told to strand, from the database and the real bundles. The rule itself: `strand-rule.test.ts`. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addSignature, bump, type Metadata, type Targets, topLevelRole } from '@tidegate/signer/repository';
import type { TrustPolicy } from '@tidegate/client-sdk/protocol';
import { testDatabase } from '../../test/support/postgres.ts';
import { type Built, Desk, EMPTY_SIGSTORE_ROOT, START, text } from './desk.fixture.ts';

const [ONE, TWO] = ['acme.one', 'acme.two'] as const;
let desk: Desk;

beforeEach(async () => {
  desk = await Desk.open((await testDatabase()).db, 'acme', [ONE, TWO]);
  await desk.bootstrap();
});
afterEach(() => desk.close());

async function published(
  product: string,
  version: string,
  custom: Partial<Built['target']['custom']> = {},
): Promise<Built> {
  const built = await desk.buildRelease(version, {
    product,
    custom,
    attested: { securityVersion: custom.securityVersion ?? 1, hardware: custom.hardware ?? ['dc150-r2'] },
  });
  await desk.upload(built.image, built.bundle);
  await desk.publishRole(await desk.listReleases([built], 2, product), [], product);
  return built;
}

async function addChargers(
  product: string,
  running: Built | undefined,
  count: number,
  hardware = 'dc150-r2',
) {
  const { db } = desk.deps;
  const site = { organisation: 'acme', id: 's', name: 's', type: 'depot', region: 'de', time_zone: 'UTC' };
  await db
    .insertInto('sites')
    .values({ ...site, created_at: new Date(START) })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const rows = Array.from({ length: count }, (_, i) => ({
    organisation: 'acme',
    serial: `${product}-${running?.target.custom.version ?? 'factory'}-${hardware}-${String(i).padStart(3, '0')}`,
    product,
    hardware,
    site: 's',
    state: 'ACTIVE' as const,
    stratum: 'x',
    cohort_key: i,
    running_sha256: running?.target.sha256 ?? null,
    running_version: running?.target.custom.version ?? null,
    running_security_version: running?.target.custom.securityVersion ?? null,
  }));
  await db.insertInto('chargers').values(rows).execute();
}

async function without(product: string, ...built: Built[]): Promise<Metadata<Targets>> {
  const role = bump(desk.role(product), 'product', desk.clock.time);
  const gone = new Set(built.map(({ target }) => target.path));
  const kept = Object.entries(role.signed.targets).filter(([path]) => !gone.has(path));
  return desk.signRole(
    { ...role, signed: { ...role.signed, targets: Object.fromEntries(kept) } },
    2,
    product,
  );
}

function policy(change: (policy: TrustPolicy) => void): TrustPolicy {
  const next = structuredClone({ ...desk.policy, version: desk.policy.version + 1 });
  change(next);
  return next;
}

/** What the refusal says. */
async function strandedBy(attempt: Promise<unknown>) {
  const error = await attempt.then(
    () => ({}),
    (refusal: unknown) => refusal as { code: string; members: Record<string, unknown> },
  );
  expect(error).toMatchObject({ code: 'WOULD_STRAND', status: 409 });
  return (error as { members: { stranded: unknown } }).members.stranded;
}

test('each kind of charger is named with its number, its first serial numbers, and why', async () => {
  const one = await published(ONE, '1.0.0', { hardware: ['r1', 'r2'] });
  await addChargers(ONE, one, 23, 'r1');
  await addChargers(ONE, one, 2, 'r2');
  await addChargers(ONE, undefined, 1, 'r2');
  await addChargers(ONE, undefined, 1, 'r3');
  const role = await without(ONE, one);
  const kind = { loss: 'NO_WAY_ON', product: ONE, because: 'TARGET_UNKNOWN' };
  const stranded = await strandedBy(desk.publishRole(role, [], ONE));
  expect(stranded).toMatchObject({
    total: 26,
    releases: [],
    chargers: [
      { ...kind, hardware: 'r1', runs: { path: one.target.path, version: '1.0.0' }, total: 23 },
      {
        ...kind,
        hardware: 'r2',
        runs: { path: one.target.path },
        total: 2,
        serials: [`${ONE}-1.0.0-r2-000`, `${ONE}-1.0.0-r2-001`],
      },
      // One that was never heard of loses the only release that it could get; r3 never had one.
      { ...kind, hardware: 'r2', runs: { path: null, version: null }, total: 1 },
    ],
  });
  expect((stranded as { chargers: { serials: string[] }[] }).chargers[0]?.serials).toHaveLength(20);
  await strandedBy(desk.publishRole(role, [one.target.path], ONE));
  await expect(desk.publishRole(role, [ONE], ONE)).resolves.toMatchObject({ yanked: [one.target.path] });
});

test('an emergency floor above all that there is for a hardware names the chargers of that hardware', async () => {
  const old = await published(ONE, '1.0.0', { hardware: ['r1'] });
  const low = await published(ONE, '1.1.0', { hardware: ['r2'] });
  await published(ONE, '2.0.0', { hardware: ['r2'], securityVersion: 2 });
  await addChargers(ONE, old, 1, 'r1');
  await addChargers(ONE, low, 1, 'r2');
  const floor = policy(({ products }) => {
    const rules = products[ONE];
    if (rules !== undefined) rules.emergencyFloor = 2;
  });
  const trust = await desk.signTrust(floor);
  expect(await strandedBy(desk.send(trust))).toMatchObject({
    total: 1,
    chargers: [{ hardware: 'r1', loss: 'NO_WAY_ON', because: 'BELOW_EMERGENCY_FLOOR' }],
  });
  await expect(desk.send({ ...trust, strand: [old.target.path] })).resolves.toMatchObject({ changed: true });
  const { detail } = await desk.deps.db
    .selectFrom('audit')
    .select('detail')
    .orderBy('position', 'desc')
    .executeTakeFirstOrThrow();
  expect(detail).toMatchObject({ stranded: { chargers: [{ hardware: 'r1', total: 1 }] } });
});

test('a product that goes names all its active chargers', async () => {
  const one = await published(TWO, '1.0.0');
  await addChargers(TWO, one, 2);
  await addChargers(TWO, undefined, 1);
  const { delegations } = desk.targets.signed;
  const roles = (delegations?.roles ?? []).filter(({ name }) => name !== TWO);
  const signed = { ...desk.targets.signed, delegations: { keys: delegations?.keys ?? {}, roles } };
  let targets = bump({ ...desk.targets, signed }, 'targets', desk.clock.time);
  for (const key of desk.people.targets.slice(0, 2)) {
    targets = await addSignature(targets, topLevelRole(desk.root, 'targets'), key);
  }
  expect(await strandedBy(desk.send({ targets: text(targets) }))).toMatchObject({
    total: 3,
    chargers: [{ loss: 'PRODUCT_REMOVED' }, { loss: 'PRODUCT_REMOVED' }],
  });
  await expect(desk.send({ targets: text(targets), strand: [TWO] })).resolves.toMatchObject({
    yanked: [one.target.path],
    versions: { roles: { [ONE]: 1 } },
  });
});

test('what a live rollout brings stays; what a halted one brought may go', async () => {
  const one = await published(ONE, '1.0.0');
  const { db } = desk.deps;
  const { target } = one;
  const row = { organisation: 'acme', id: 'r-20261122-abcdef', product: ONE, version: '1.0.0', revision: 1 };
  await db
    .insertInto('rollouts')
    .values({ ...row, status: 'RUNNING', state: '{}', created_at: new Date(START) })
    .execute();
  const role = await without(ONE, one);
  expect(await strandedBy(desk.publishRole(role, [], ONE))).toMatchObject({
    total: 0,
    releases: [{ path: target.path, neededBy: { kind: 'ROLLOUT', rollout: 'r-20261122-abcdef' } }],
  });
  await db.updateTable('rollouts').set({ status: 'HALTED' }).execute();
  await expect(desk.publishRole(role, [], ONE)).resolves.toMatchObject({ yanked: [target.path] });
});

test('a rule for one product verifies no image of another, and a publication that only adds verifies none but its own', async () => {
  const one = await published(ONE, '1.0.0');
  const two = await published(TWO, '1.0.0');
  await addChargers(ONE, one, 1);
  await addChargers(TWO, two, 1);
  const read = desk.watchReads();
  const bundles = () => read.filter((key) => key.endsWith('.sigstore.json'));
  await published(ONE, '1.1.0');
  expect(bundles()).toEqual([]);
  const logs = policy(({ products }) => {
    const rules = products[TWO];
    if (rules !== undefined) rules.logs = 1;
  });
  const trust = await desk.signTrust(logs);
  expect(await strandedBy(desk.send(trust))).toMatchObject({ total: 1 });
  expect(bundles().length).toBeGreaterThan(0);
  expect(bundles().every((key) => key.startsWith(`targets/${TWO}/`))).toBe(true);
  // Another Sigstore root may refuse anything, and so may a longer deny list.
  const products = () => new Set(bundles().map((key) => key.split('/')[1]));
  await desk.send({ ...trust, strand: [TWO] });
  read.length = 0;
  const root = JSON.stringify({ ...EMPTY_SIGSTORE_ROOT, tlogs: [], timestampAuthorities: [] }, null, 1);
  await desk.send(
    await desk.signTrust(
      policy(() => undefined),
      true,
      root,
    ),
  );
  expect(products()).toEqual(new Set([ONE, TWO]));
});

test('a denied image strands those that run it and have no way on, whatever their role says', async () => {
  const one = await published(ONE, '1.0.0');
  const two = await published(TWO, '1.0.0');
  await addChargers(ONE, one, 2);
  await addChargers(TWO, two, 1);
  const denying = policy(({ denied }) => denied.digests.push(one.target.sha256));
  const trust = await desk.signTrust(denying);
  expect(await strandedBy(desk.send(trust))).toMatchObject({
    total: 2,
    chargers: [{ product: ONE, loss: 'NO_WAY_ON', because: 'DENIED' }],
  });
  const next = await desk.buildRelease('1.1.0', { product: ONE });
  await desk.upload(next.image, next.bundle);
  const role = await desk.listReleases([next], 2, ONE);
  await expect(desk.send({ ...trust, products: { [ONE]: text(role) } })).resolves.toMatchObject({
    releases: [{ version: '1.1.0' }],
  });
});
