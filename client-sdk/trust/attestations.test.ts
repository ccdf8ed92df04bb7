/** What a product's policy may ask of attestations beyond one: several builders, and an SBOM. Design §3 */
import { describe, expect, it } from 'vitest';
import type { KeyBuilder, ProductPolicy, ReleaseTarget, TrustPolicy } from '../protocol/index.ts';
import { ReleaseReview, verifyRelease } from './release.ts';
import { testKey, type TestKey } from './testing/keys.ts';
import { codeOf, expectRefusal } from './testing/refused.ts';
import {
  keyBundle,
  policy,
  release,
  sbomStatement,
  statement,
  withBundles,
  withSbom,
} from './testing/releases.ts';
import { PRODUCT } from './testing/repository.ts';

const ci = testKey('p256');
const second = testKey('ed25519');
const stranger = testKey('p256');
const asBuilder = (key: TestKey, changes: Partial<KeyBuilder> = {}): KeyBuilder => ({
  kind: 'key',
  keyId: key.hint,
  publicKey: key.pem,
  state: 'active',
  ...changes,
});
const base = policy(ci, testKey());

function asking(changes: Partial<ProductPolicy>, denied: Partial<TrustPolicy['denied']> = {}): TrustPolicy {
  const product = { ...base.products[PRODUCT]!, builders: [asBuilder(ci), asBuilder(second)], ...changes };
  return { ...base, products: { [PRODUCT]: product }, denied: { ...base.denied, ...denied } };
}

function verify(target: ReleaseTarget, bundles: Uint8Array[], trust: TrustPolicy, sbom?: Uint8Array) {
  const sigstoreRoot = Buffer.from('{}');
  return verifyRelease({ target, bundles, sbom, product: PRODUCT, policy: trust, sigstoreRoot });
}

describe('a second builder', () => {
  const two = asking({ builderThreshold: 2 });
  const byCi = keyBundle(ci, statement());
  const bySecond = keyBundle(second, statement());

  it('suffices with the first, in any order and among bad bundles', () => {
    const bad = keyBundle(stranger, statement());
    for (const bundles of [
      [byCi, bySecond],
      [bad, bySecond, byCi],
    ]) {
      const { signers } = verify(withBundles(release(), bundles), bundles, two);
      expect(signers.sort()).toEqual([ci.hint, second.hint].sort());
    }
  });

  it('is missed, whatever k engineers and one stolen build key make of it', () => {
    const again = keyBundle(ci, { ...statement(), subject: [...statement().subject] });
    const cases: Uint8Array[][] = [
      [byCi],
      [byCi, byCi],
      [byCi, again],
      [byCi, keyBundle(stranger, statement())],
      // The second builder built something else, or the same as something else.
      [byCi, keyBundle(second, statement(release({ version: '1.1.0' })))],
      [byCi, keyBundle(second, statement(release({}, Buffer.from('another image'))))],
    ];
    for (const bundles of cases) {
      expectRefusal('BUILDERS_TOO_FEW', () => verify(withBundles(release(), bundles), bundles, two));
    }
    // Nor does a bundle count that the engineers did not list.
    expectRefusal('BUILDERS_TOO_FEW', () => verify(withBundles(release(), [byCi]), [byCi, bySecond], two));
  });

  it('is not asked for unless the policy says so', () => {
    expect(codeOf(() => verify(withBundles(release(), [byCi]), [byCi], asking({})))).toBe('accepted');
  });

  it('does not count when it is compromised, retired or denied', () => {
    const target = withBundles(release(), [byCi, bySecond]);
    const refusedBy = (trust: TrustPolicy) =>
      expectRefusal('BUILDERS_TOO_FEW', () => verify(target, [byCi, bySecond], trust));
    const builders = (changes: Partial<KeyBuilder>) => [asBuilder(ci), asBuilder(second, changes)];
    refusedBy(asking({ builderThreshold: 2, builders: builders({ state: 'compromised' }) }));
    const retired = { state: 'retired' as const, retiredAt: '2036-01-01T00:00:00Z' };
    refusedBy(asking({ builderThreshold: 2, builders: builders(retired) }));
    refusedBy(asking({ builderThreshold: 2 }, { signers: [second.hint] }));
  });

  it('is another party: a key and its successor are one', () => {
    const successor = testKey('p256');
    const bundles = [byCi, keyBundle(successor, statement())];
    const builders = [asBuilder(ci), asBuilder(successor), asBuilder(second)];
    const target = withBundles(release(), bundles);
    expect(codeOf(() => verify(target, bundles, asking({ builderThreshold: 2, builders })))).toBe('accepted');
    const ofOne = [asBuilder(ci, { party: 'ci' }), asBuilder(successor, { party: 'ci' }), asBuilder(second)];
    expectRefusal('BUILDERS_TOO_FEW', () =>
      verify(target, bundles, asking({ builderThreshold: 2, builders: ofOne })),
    );
  });
});

describe('an SBOM that the policy asks for', () => {
  const required = asking({ sbom: 'required' });
  const bundle = keyBundle(ci, statement());
  const sbom = keyBundle(ci, sbomStatement());
  const target = withBundles(release(), [bundle]);

  it('is attested to the image by one of the builders, and listed', () => {
    expect(codeOf(() => verify(withSbom(target, sbom), [bundle], required, sbom))).toBe('accepted');
    expectRefusal('SBOM_MISSING', () => verify(target, [bundle], required));
    expectRefusal('SBOM_MISSING', () => verify(withSbom(target, sbom), [bundle], required));
    // CI alone: attested, but k engineers did not list it.
    expectRefusal('SBOM_INVALID', () => verify(target, [bundle], required, sbom));
  });

  it.each<[string, Buffer]>([
    ['by a stranger, though k engineers list it', keyBundle(stranger, sbomStatement())],
    ['about another image', keyBundle(ci, sbomStatement(release({}, Buffer.from('another image'))))],
    ['that is the provenance once more', bundle],
    ['that is no bundle', Buffer.from('{"bomFormat":"CycloneDX"}')],
    [
      'of a kind that nobody knows',
      keyBundle(ci, { ...sbomStatement(), predicateType: 'https://x.example' }),
    ],
  ])('is none %s', (_, other) => {
    expectRefusal('SBOM_INVALID', () => verify(withSbom(target, other), [bundle], required, other));
    // Nor where nobody asked, but it was looked at.
    expectRefusal('SBOM_INVALID', () => verify(withSbom(target, other), [bundle], asking({}), other));
  });

  it('is none by a builder that is compromised or denied', () => {
    const bySecond = keyBundle(second, sbomStatement());
    const listed = withSbom(target, bySecond);
    const gone = [asBuilder(ci), asBuilder(second, { state: 'compromised' })];
    for (const trust of [
      asking({ sbom: 'required', builders: gone }),
      asking({ sbom: 'required' }, { signers: [second.hint] }),
    ]) {
      expectRefusal('SBOM_INVALID', () => verify(listed, [bundle], trust, bySecond));
    }
  });

  it('does not stand in for the provenance', () => {
    expectRefusal('BUNDLE_MISSING', () => verify(withSbom(release(), sbom), [], required, sbom));
  });
});

it('says when it has seen enough, so that a charger fetches no more', () => {
  const bundles = [keyBundle(ci, statement()), keyBundle(second, statement())];
  const sbom = keyBundle(ci, sbomStatement());
  const target = withSbom(withBundles(release(), bundles), sbom);
  const trust = asking({ builderThreshold: 2, sbom: 'required' });
  const review = new ReleaseReview({
    target,
    product: PRODUCT,
    policy: trust,
    sigstoreRoot: Buffer.from('{}'),
  });
  const seen = [];
  for (const bundle of bundles) {
    review.takeBundle(bundle);
    seen.push(review.enough);
  }
  expect(seen).toEqual([false, true]);
  expect(review.wantsSbom).toBe(true);
  expectRefusal('SBOM_MISSING', () => review.verdict());
  review.takeSbom(sbom);
  expect(review.wantsSbom).toBe(false);
  expect(review.verdict().signers).toEqual([ci.hint, second.hint]);
});
