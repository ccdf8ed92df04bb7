/** A charger fetches the attestations that its policy asks for, no more and no longer ones, and refuses before the image's first byte. */
import { beforeEach, expect, it } from 'vitest';
import type { ProductPolicy, ReleaseTarget } from '../protocol/index.ts';
import { MAX_SBOM_BUNDLE_BYTES } from '../trust/index.ts';
import { testKey } from '../trust/testing/keys.ts';
import { keyBundle, sbomStatement, statement } from '../trust/testing/releases.ts';
import { testBench } from './testing/bench.ts';
import type { TestBench } from './testing/bench.ts';
import { someImage } from './testing/charger.ts';

const second = testKey('ed25519');
let bench: TestBench;
let releases = 1;

beforeEach(async () => {
  bench = await testBench();
  await bench.charger.agent.checkInOnce();
});

function ask(changes: Partial<ProductPolicy>): void {
  const { service } = bench;
  const [[product, asked]] = Object.entries(service.policy.products) as [[string, ProductPolicy]];
  const another = {
    kind: 'key' as const,
    keyId: second.hint,
    publicKey: second.pem,
    state: 'active' as const,
  };
  const builders = [...asked.builders, another];
  service.publishPolicy({ ...service.policy, products: { [product]: { ...asked, builders, ...changes } } });
}

/** How it ended, and what was fetched of the release. */
async function update(also: (plain: ReleaseTarget) => { bundles?: Buffer[]; sbom?: Buffer }) {
  const { service, charger } = bench;
  const version = `1.${++releases}.0`;
  const target = service.publish(someImage(), { version }, also);
  service.wanted = { assignment: `a-${version}`, target };
  const from = service.fetched.length;
  const { job } = await charger.settle();
  const fetched = service.fetched.slice(from).filter((path) => path.startsWith('targets/acme'));
  return { job, target, fetched, images: fetched.filter((path) => path.endsWith('.raucb')).length };
}

it('two builders where two are asked for, and one where one is', async () => {
  const bundles = (plain: ReleaseTarget) => ({ bundles: [keyBundle(second, statement(plain))] });
  const one = await update(bundles);
  expect(one.job).toMatchObject({ progress: 'HEALTHY' });
  expect(one.fetched).toHaveLength(2);
  ask({ builderThreshold: 2 });
  const { job, images } = await update(() => ({}));
  expect(job).toMatchObject({ progress: 'FAILED', code: 'BUILDERS_TOO_FEW' });
  expect(images).toBe(0);
});

it('the second builder, after bundles that are worth nothing', async () => {
  ask({ builderThreshold: 2 });
  const worthless = Array.from({ length: 12 }, () => testKey('p256'));
  const { job } = await update((plain) => ({
    bundles: [
      ...worthless.map((key) => keyBundle(key, statement(plain))),
      keyBundle(second, statement(plain)),
    ],
  }));
  expect(job).toMatchObject({ progress: 'HEALTHY' });
});

it('an SBOM where one is asked for, and not where none is', async () => {
  const sbom = (plain: ReleaseTarget) => ({ sbom: keyBundle(second, sbomStatement(plain)) });
  ask({});
  const unasked = await update(sbom);
  expect(unasked.job).toMatchObject({ progress: 'HEALTHY' });
  expect(unasked.fetched.some((path) => path.includes('sbom'))).toBe(false);
  ask({ sbom: 'required' });
  const missing = await update(() => ({}));
  expect(missing.job).toMatchObject({ progress: 'FAILED', code: 'SBOM_MISSING' });
});

it('an SBOM that is attested is taken, one by a stranger is not', async () => {
  ask({ sbom: 'required' });
  const good = await update((plain) => ({ sbom: keyBundle(second, sbomStatement(plain)) }));
  expect(good.job).toMatchObject({ progress: 'HEALTHY' });
  bench = await testBench();
  ask({ sbom: 'required' });
  const bad = await update((plain) => ({ sbom: keyBundle(testKey('p256'), sbomStatement(plain)) }));
  expect(bad.job).toMatchObject({ progress: 'FAILED', code: 'SBOM_INVALID' });
  expect(bad.images).toBe(0);
});

it('nothing longer than it is listed as, and nothing listed as longer than the limit', async () => {
  ask({ sbom: 'required' });
  const { service, charger } = bench;
  const sbomOf = (plain: ReleaseTarget, pad: number) =>
    keyBundle(second, sbomStatement(plain, { pad: 'x'.repeat(pad) }));
  const target = service.publish(someImage(), {}, (plain) => ({ sbom: sbomOf(plain, 10) }));
  const side = target.custom.sbom!;
  service.put(side.path, side.sha256, Buffer.alloc(20 * 1024 * 1024));
  service.wanted = { assignment: 'a-longer', target };
  expect((await charger.settle()).job).toMatchObject({ progress: 'FAILED', code: 'SBOM_MISSING' });

  const huge = await update((plain) => ({ sbom: sbomOf(plain, (MAX_SBOM_BUNDLE_BYTES * 3) / 4) }));
  expect(huge.target.custom.sbom!.length).toBeGreaterThan(MAX_SBOM_BUNDLE_BYTES);
  expect(huge.job).toMatchObject({ progress: 'FAILED', code: 'SBOM_MISSING' });
  expect(huge.fetched.some((path) => path.includes('sbom'))).toBe(false);
});

it('and stops reading what never ends', async () => {
  ask({ sbom: 'required' });
  const { service, charger } = bench;
  const deps = charger.deps();
  const { transport } = deps;
  let sent = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (; sent < 50 * 1024 * 1024; sent += 64 * 1024) yield new Uint8Array(64 * 1024);
    throw new Error('It was read on and on.');
  }
  charger.deps = () => ({
    ...deps,
    transport: {
      ...transport,
      get: async (path, options) =>
        path.includes('.sbom.')
          ? { status: 200, headers: {}, body: endless() }
          : transport.get(path, options),
    },
  });
  charger.kill();
  const target = service.publish(someImage(), {}, (plain) => ({
    sbom: keyBundle(second, sbomStatement(plain)),
  }));
  service.wanted = { assignment: 'a-endless', target };
  expect((await charger.settle()).job).toMatchObject({ progress: 'FAILED', code: 'SBOM_MISSING' });
  expect(sent).toBeLessThan(1024 * 1024);
});
