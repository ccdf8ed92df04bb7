/** Releases that no new rollout may bring, and what becomes of rollouts that were planned before. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ReleaseTarget, TrustPolicy } from '@tidegate/client-sdk/protocol';
import { bump, type Metadata, type Targets } from '@tidegate/signer/repository';
import { sql } from 'kysely';
import { testDatabase } from '../../test/support/postgres.ts';
import { type Built, PRODUCT } from '../publishing/desk.fixture.ts';
import { TestService } from './service.fixture.ts';

const PLAN = { canary: { size: { count: 2 } }, waves: [{ size: { count: 4 } }], holdBack: { count: 2 } };
const reason = 'a test';
let service: TestService;
let n = 0;
let built: Built;
let policy: TrustPolicy;

beforeAll(async () => {
  service = await TestService.start((await testDatabase()).db);
  await service.addFleet(8);
  policy = service.desk.policy;
});
beforeEach(async () => {
  await service.db.deleteFrom('rollouts').execute();
  built = await service.desk.buildRelease(`1.${++n}.0`, { attested: {} });
  await service.desk.release(built);
});
afterAll(async () => {
  await service.stop();
  expect(service.faults).toEqual([]);
});

const version = () => built.target.custom.version;
const plan = (who = 'alice', more: object = {}) =>
  service.post(who, '/rollouts', { product: PRODUCT, version: version(), plan: PLAN, reason, ...more });

/** Signs the role with this done to the release's entry, or without it. */
async function change(edit: ((custom: ReleaseTarget['custom']) => void) | 'yank'): Promise<void> {
  const { desk } = service;
  const role: Metadata<Targets> = structuredClone(desk.role());
  const entry = role.signed.targets[built.target.path];
  if (edit === 'yank') delete role.signed.targets[built.target.path];
  else if (entry?.custom !== undefined) edit(entry.custom);
  const signed = await desk.signRole(bump(role, 'product', desk.clock.time));
  await desk.publishRole(signed, [PRODUCT]);
}

async function publishPolicy(changed: Partial<TrustPolicy>): Promise<void> {
  const next = { ...policy, version: service.desk.policy.version + 1, ...changed };
  const trust = await service.desk.signTrust(next);
  await service.desk.send({ ...trust, strand: [PRODUCT] });
}

const asked = (changes: object): Partial<TrustPolicy> => ({
  products: { [PRODUCT]: { ...policy.products[PRODUCT]!, ...changes } },
});

const UNWANTED: [string, string, number, () => Promise<void>][] = [
  ['yanked', 'RELEASE_YANKED', 409, () => change('yank')],
  ['denied', 'DENIED', 422, () => publishPolicy({ denied: { digests: [built.target.sha256], signers: [] } })],
  [
    'by a denied signer',
    'DENIED',
    422,
    () =>
      publishPolicy({ denied: { digests: [], signers: [policy.products[PRODUCT]!.builders.map(idOf)[0]!] } }),
  ],
  [
    'below the emergency floor',
    'BELOW_EMERGENCY_FLOOR',
    422,
    () => publishPolicy(asked({ emergencyFloor: 2 })),
  ],
  ['above the cap', 'ABOVE_CAP', 422, () => publishPolicy(asked({ securityVersionCap: 0 }))],
  [
    'without the SBOM that is asked for',
    'SBOM_MISSING',
    422,
    () => publishPolicy(asked({ sbom: 'required' })),
  ],
  [
    'by a compromised builder',
    'BUILDER_REVOKED',
    422,
    () =>
      publishPolicy(
        asked({
          builders: policy.products[PRODUCT]!.builders.map((one) => ({ ...one, state: 'compromised' })),
        }),
      ),
  ],
];
const idOf = (builder: TrustPolicy['products'][string]['builders'][number]) =>
  builder.kind === 'key' ? builder.keyId : builder.workflow;

describe.each(UNWANTED)('a release %s', (_, code, status, become) => {
  test('is planned for nobody', async () => {
    expect((await plan()).status).toBe(201);
    await service.db.deleteFrom('rollouts').execute();
    await become();
    const refused = await plan();
    expect([refused.status, refused.body.code]).toEqual([status, code]);
    expect(await service.db.selectFrom('rollouts').select('id').execute()).toEqual([]);
    await publishPolicy({});
  });

  test('is not begun, nor gone on with, where it was planned before', async () => {
    const draft = (await plan('alice', { draft: true })).body['id'] as string;
    await become();
    expect((await service.post('alice', `/rollouts/${draft}/submit`, { reason })).body.code).toBe(code);
    await publishPolicy({});
    if (code === 'RELEASE_YANKED') return;
    expect((await service.post('alice', `/rollouts/${draft}/submit`, { reason })).status).toBe(200);
    await become();
    expect((await service.post('bob', `/rollouts/${draft}/approve`, { reason })).body.code).toBe(code);
    await publishPolicy({});
    expect((await service.post('bob', `/rollouts/${draft}/approve`, { reason })).status).toBe(200);
    // Stopping is always possible.
    await become();
    expect((await service.post('bob', `/rollouts/${draft}/cancel`, { reason })).status).toBe(200);
    await publishPolicy({});
  });
});

test('a deprecated release begins no rollout and ends none; taken back, it may be planned again', async () => {
  const going = (await plan()).body['id'] as string;
  await change((custom) => (custom.deprecated = 'the display flickers'));
  expect((await service.post('bob', `/rollouts/${going}/approve`, { reason })).status).toBe(200);
  const refused = await plan('alice', { draft: true });
  expect([refused.status, refused.body.code]).toEqual([409, 'RELEASE_DEPRECATED']);
  expect(refused.body['detail']).toContain('the display flickers');
  const shown = await service.get('vera', `/releases/${PRODUCT}/${version()}`);
  expect(shown.body).toMatchObject({ deprecated: 'the display flickers', refusal: null, yankedAt: null });
  await change((custom) => delete custom.deprecated);
  expect((await plan('alice', { draft: true })).status).toBe(201);
});

test.each<[string, () => Partial<TrustPolicy>]>([
  ['denied', () => ({ denied: { digests: [built.target.sha256], signers: [] } })],
  [
    'refused: DENIED',
    () => ({ denied: { digests: [], signers: [idOf(policy.products[PRODUCT]!.builders[0]!)] } }),
  ],
  ['refused: SBOM_MISSING', () => asked({ sbom: 'required' })],
])(
  'a running rollout says why nothing is offered any more, as long as that is so: %s',
  async (why, changed) => {
    const id = (await plan()).body['id'] as string;
    await service.post('bob', `/rollouts/${id}/approve`, { reason });
    const waits = async () => (await service.get('vera', `/rollouts/${id}`)).body['waits'] as string[];
    const before = await waits();
    await publishPolicy(changed());
    expect((await waits())[0]).toContain(`${version()} is ${why}`);
    await publishPolicy({});
    expect(await waits()).toEqual(before);
  },
);

test('a release says why chargers refuse it', async () => {
  await publishPolicy({ denied: { digests: [built.target.sha256], signers: [] } });
  const release = await service.get('vera', `/releases/${PRODUCT}/${version()}`);
  expect(release.body).toMatchObject({ refusal: 'DENIED' });
  await publishPolicy({});
});

test('a release that every charger refuses by now can still be deprecated', async () => {
  await publishPolicy({ denied: { digests: [built.target.sha256], signers: [] } });
  await change((custom) => (custom.deprecated = 'denied'));
  expect((await service.get('vera', `/releases/${PRODUCT}/${version()}`)).body).toMatchObject({
    deprecated: 'denied',
    refusal: 'DENIED',
  });
  await publishPolicy({});
});

test('a paused rollout is not resumed, and a mark that a publication made outlives its rollout no longer than its cause', async () => {
  const id = (await plan()).body['id'] as string;
  await service.post('bob', `/rollouts/${id}/approve`, { reason });
  const setStatus = (status: 'PAUSED' | 'CANCELLED') =>
    service.db
      .updateTable('rollouts')
      .set({ status, state: sql`jsonb_set(state, '{status}', ${JSON.stringify(status)}::jsonb)` })
      .where('id', '=', id)
      .execute();
  const marks = async () => {
    const rows = await service.db.selectFrom('releases').select('refused').distinct().execute();
    return rows.map(({ refused }) => refused).filter((refused) => refused !== null);
  };
  await setStatus('PAUSED');
  await publishPolicy(asked({ sbom: 'required' }));
  expect((await service.post('bob', `/rollouts/${id}/resume`, { reason })).body.code).toBe('SBOM_MISSING');
  expect(await marks()).toEqual(['SBOM_MISSING']);
  await setStatus('CANCELLED');
  await publishPolicy({});
  expect(await marks()).toEqual([]);
});
