import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Refusal,
  STATEMENT_TYPE,
  type Builder,
  type KeyBuilder,
  type ProductPolicy,
  type ReleaseTarget,
  type TrustPolicy,
} from '../protocol/index.ts';
import { verifyBundle } from './bundle.ts';
import { verifyRelease } from './release.ts';
import { testKey } from './testing/keys.ts';
import { ISSUER, SIGNED_AT, TestLog, TestSigstore, WORKFLOW, withEntries } from './testing/keyless.ts';
import { codeOf, expectRefusal } from './testing/refused.ts';
import { keyBundle, policy, release, statement, withBundles } from './testing/releases.ts';
import { PRODUCT } from './testing/repository.ts';

const builder = testKey('p256');
const trusted = policy(builder, testKey());
const noSigstore = Buffer.from('{}');
const good = keyBundle(builder, statement());

function about(changes: Partial<ProductPolicy>, base: TrustPolicy = trusted): TrustPolicy {
  return { ...base, products: { [PRODUCT]: { ...base.products[PRODUCT]!, ...changes } } };
}

function verify(bundle: Uint8Array, trust: TrustPolicy = trusted, sigstoreRoot: Uint8Array = noSigstore) {
  return verifyBundle({ bundle, sha256: release().sha256, policy: trust, product: PRODUCT, sigstoreRoot });
}

function verifyTarget(
  target: ReleaseTarget,
  bundles: Uint8Array[],
  trust = trusted,
  product = PRODUCT,
  sigstoreRoot: Uint8Array = noSigstore,
) {
  return verifyRelease({ target, bundles, product, policy: trust, sigstoreRoot });
}

describe('a bundle by a key', () => {
  it.each(['p256', 'ed25519'] as const)('verifies with %s', (kind) => {
    const key = testKey(kind);
    const verified = verify(keyBundle(key, statement()), policy(key, testKey()));
    expect(verified).toEqual({ statement: statement(), signer: key.hint, party: `builder ${key.hint}` });
  });

  it('is known by its key id, whether its hint is hex or base64 as cosign writes it', () => {
    const hint = Buffer.from(builder.hint, 'hex').toString('base64');
    const asCosign = keyBundle({ ...builder, hint }, statement());
    expect(verify(asCosign).signer).toBe(builder.hint);
    const [active] = trusted.products[PRODUCT]!.builders;
    const revoked = { ...active, state: 'compromised' } as Builder;
    expectRefusal('BUILDER_REVOKED', () => verify(asCosign, about({ builders: [revoked] })));
  });

  it('refuses an image that it is not about, which DSSE alone would not notice', () => {
    const other = release({}, Buffer.from('another image'));
    expectRefusal('BUNDLE_INVALID', () => verify(keyBundle(builder, statement(other))));
  });

  it('refuses a second subject', () => {
    const said = statement();
    said.subject.push({ name: 'more', digest: { sha256: '0'.repeat(64) } });
    expectRefusal('BUNDLE_INVALID', () => verify(keyBundle(builder, said)));
  });

  // As `cosign attest-blob` 3.1 writes it, members that are absent included.
  it('may hold the statement before v1', () => {
    const earlier = { ...statement(), _type: 'https://in-toto.io/Statement/v0.1' };
    expect(verify(keyBundle(builder, earlier)).statement._type).toBe(earlier._type);
  });

  it.each([
    ['another statement type', { _type: `${STATEMENT_TYPE}0` }],
    ['another predicate type', { predicateType: 'https://slsa.dev/provenance/v0.2' }],
    ['no predicate', { predicate: undefined }],
  ])('refuses %s', (_, changes) => {
    expectRefusal('BUNDLE_INVALID', () => verify(keyBundle(builder, { ...statement(), ...changes })));
  });

  it('refuses another build type and unknown external parameters', () => {
    const type = structuredClone(statement());
    Object.assign(type.predicate.buildDefinition, { buildType: 'https://example/other' });
    expectRefusal('BUNDLE_INVALID', () => verify(keyBundle(builder, type)));
    const more = structuredClone(statement());
    Object.assign(more.predicate.buildDefinition.externalParameters, { debug: true });
    expectRefusal('BUNDLE_INVALID', () => verify(keyBundle(builder, more)));
  });

  it('refuses another payload type', () => {
    expectRefusal('BUNDLE_INVALID', () => verify(keyBundle(builder, statement(), 'application/json')));
  });

  it('refuses a signature by another key under a known hint', () => {
    const forged = keyBundle({ ...testKey('p256'), hint: builder.hint }, statement());
    expectRefusal('BUNDLE_INVALID', () => verify(forged));
  });

  it('refuses other formats and what is no bundle', () => {
    const old = {
      ...JSON.parse(good.toString()),
      mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.1',
    };
    for (const text of [JSON.stringify(old), '', '{', 'null', '[]', '{}', '"x"']) {
      expectRefusal('BUNDLE_INVALID', () => verify(Buffer.from(text)));
    }
    expectRefusal('BUNDLE_INVALID', () => verify(Buffer.alloc(300 * 1024, 0x20)));
  });

  it('refuses a key that the policy does not name, and a product that it does not name', () => {
    expectRefusal('BUILDER_UNKNOWN', () => verify(keyBundle(testKey('p256'), statement())));
    expectRefusal('BUILDER_UNKNOWN', () => verify(good, { ...trusted, products: {} }));
  });

  it('refuses a compromised key, whatever else it proves', () => {
    const [active] = trusted.products[PRODUCT]!.builders;
    const revoked = { ...active, state: 'compromised' } as Builder;
    expectRefusal('BUILDER_REVOKED', () => verify(good, about({ builders: [revoked] })));
    expectRefusal('BUILDER_REVOKED', () => verify(good, about({ builders: [active!, revoked] })));
  });

  it('refuses a bundle without the evidence that the policy asks for', () => {
    expectRefusal('EVIDENCE_MISSING', () => verify(good, about({ logs: 1 })));
    expectRefusal('EVIDENCE_MISSING', () => verify(good, about({ timestamps: 1 })));
  });

  it('refuses a sigstore root that is none', () => {
    for (const text of ['', '[]', 'null', '{"tlogs":[{}]}']) {
      expectRefusal('POLICY_MALFORMED', () => verify(good, trusted, Buffer.from(text)));
    }
  });
});

describe('a bundle with log entries, and one by a CI identity', () => {
  let sigstore: TestSigstore;
  let root: Buffer;
  const identity: Builder = {
    kind: 'identity',
    issuer: ISSUER,
    workflow: WORKFLOW,
    ref: 'refs/tags/v*',
    state: 'active',
  };
  const keyless = (changes: Partial<Builder> = {}) =>
    about({ builders: [{ ...identity, ...changes } as Builder], logs: 1, timestamps: 1 });

  beforeAll(async () => {
    sigstore = await TestSigstore.create();
    root = sigstore.trustedRoot();
  });

  it('verifies long after its certificate expired', async () => {
    const verified = verify(await sigstore.bundle(statement()), keyless(), root);
    expect(verified.signer).toBe(`${WORKFLOW}@refs/tags/v1.2.0`);
  });

  it('takes an exact ref as exact', async () => {
    const exact = keyless({ ref: 'refs/tags/v1.2.0' });
    verify(await sigstore.bundle(statement()), exact, root);
    const longer = await sigstore.bundle(statement(), { san: `${WORKFLOW}@refs/tags/v1.2.0-evil` });
    expectRefusal('BUILDER_UNKNOWN', () => verify(longer, exact, root));
  });

  it.each([
    ['another issuer', { issuer: 'https://token.other.example' }],
    ['another branch', { san: `${WORKFLOW}@refs/heads/main` }],
    ['another workflow', { san: 'https://ci.example/acme/firmware/.ci/other.yml@refs/tags/v1.2.0' }],
    ['a workflow that contains ours', { san: `https://evil.example/${WORKFLOW}@refs/tags/v1.2.0` }],
    ['a workflow in which our dots are letters', { san: `${WORKFLOW.replaceAll('.', 'x')}@refs/tags/v1` }],
    ['no ref at all', { san: WORKFLOW }],
  ])('refuses %s', async (_, options) => {
    const bundle = await sigstore.bundle(statement(), options);
    expectRefusal('BUILDER_UNKNOWN', () => verify(bundle, keyless(), root));
  });

  it('takes an identity without a ref as a whole, and only where the policy says that there is none', async () => {
    const pipeline = 'https://buildkite.com/acme/firmware';
    const bundle = await sigstore.bundle(statement(), { san: pipeline });
    const whole = { workflow: pipeline, ref: '' };
    expect(verify(bundle, keyless(whole), root).signer).toBe(pipeline);
    expectRefusal('BUILDER_UNKNOWN', () => verify(bundle, keyless({ ...whole, ref: 'refs/*' }), root));
    for (const san of [`${pipeline}@refs/heads/main`, `${pipeline}/more`, 'https://buildkite.com/acme']) {
      const other = await sigstore.bundle(statement(), { san });
      expectRefusal('BUILDER_UNKNOWN', () => verify(other, keyless(whole), root));
    }
  });

  it('refuses an identity without a log, even where the policy forgets to ask', async () => {
    const bundle = await sigstore.bundle(statement(), { logs: [] });
    const lax = about({ builders: [identity], logs: 0, timestamps: 0 });
    expectRefusal('EVIDENCE_MISSING', () => verify(bundle, lax, root));
  });

  // Somebody who sets a private Sigstore up has to find out which of its parts the trusted root has wrong.
  it('says which check failed, and lets nothing of the bundle onto the screen that is no text', async () => {
    const bundle = JSON.parse((await sigstore.bundle(statement())).toString());
    const [entry] = bundle.verificationMaterial.tlogEntries;
    const whole = structuredClone(entry);
    const said = () => {
      try {
        return void verify(Buffer.from(JSON.stringify(bundle)), keyless(), root);
      } catch (error) {
        return (error as Refusal).detail;
      }
    };
    entry.kindVersion.kind = 'dsse\u001b[2J\n';
    expect(said()).toMatch(/kind.*dsse\?\[2J\?/);
    Object.assign(entry, structuredClone(whole), { integratedTime: '7' });
    expect(said()).not.toBe(undefined);
    expect(said()).not.toContain('kind');
  });

  it('refuses a certificate of another authority', async () => {
    const other = await TestSigstore.create();
    const bundle = await other.bundle(statement());
    expectRefusal('BUNDLE_INVALID', () => verify(bundle, keyless(), root));
  });

  it('counts two entries of one log as one', async () => {
    const [one, two] = sigstore.logs;
    const both = about({ builders: [identity], logs: 2, timestamps: 1 });
    verify(await sigstore.bundle(statement(), { logs: [one, two] }), both, root);
    const twice = JSON.parse((await sigstore.bundle(statement(), { logs: [one, one] })).toString());
    // Other JSON for the same entry: not byte for byte a duplicate.
    const [entry] = twice.verificationMaterial.tlogEntries;
    const body = JSON.parse(Buffer.from(entry.canonicalizedBody, 'base64').toString());
    expect(body.kind).toBe('dsse');
    const again = one.entry(
      Buffer.from(twice.dsseEnvelope.payload, 'base64'),
      Buffer.from(twice.dsseEnvelope.signatures[0].sig, 'base64'),
      SIGNED_AT + 1000,
      'again',
    );
    twice.verificationMaterial.tlogEntries[1] = again;
    expectRefusal('EVIDENCE_MISSING', () => verify(Buffer.from(JSON.stringify(twice)), both, root));
    const twoTimes = about({ builders: [identity], logs: 1, timestamps: 2 });
    verify(await sigstore.bundle(statement(), { logs: [one, two] }), twoTimes, root);
    expectRefusal('EVIDENCE_MISSING', () => verify(Buffer.from(JSON.stringify(twice)), twoTimes, root));
  });

  it('counts two logs of one operator as one, where the root says whose they are', async () => {
    const { logs } = sigstore;
    const both = about({ builders: [identity], logs: 2, timestamps: 1 });
    const bundle = await sigstore.bundle(statement(), { logs: [...logs] });
    const run = JSON.parse(root.toString()) as { tlogs: { operator?: string }[] };
    const by = (...operators: string[]) => {
      operators.forEach((operator, i) => Object.assign(run.tlogs[i]!, { operator }));
      return Buffer.from(JSON.stringify(run));
    };
    expect(codeOf(() => verify(bundle, both, by('acme.example', 'other.example')))).toBe('accepted');
    expectRefusal('EVIDENCE_MISSING', () => verify(bundle, both, by('acme.example', 'acme.example')));
  });

  it('refuses an identity whose log promises no time, even where the policy forgets to ask', async () => {
    const timeless = JSON.parse((await sigstore.bundle(statement())).toString());
    delete timeless.verificationMaterial.tlogEntries[0].inclusionPromise;
    const lax = about({ builders: [identity], logs: 0, timestamps: 0 });
    expectRefusal('EVIDENCE_MISSING', () => verify(Buffer.from(JSON.stringify(timeless)), lax, root));
  });

  it('asks for a certificate log where the root lists one', async () => {
    const bundle = await sigstore.bundle(statement());
    const listing = JSON.parse(root.toString());
    listing.ctlogs = listing.tlogs;
    verify(bundle, keyless(), root);
    expectRefusal('BUNDLE_INVALID', () => verify(bundle, keyless(), Buffer.from(JSON.stringify(listing))));
  });

  it('refuses an identity that the policy denies, at one ref or at all', async () => {
    const bundle = await sigstore.bundle(statement());
    const target = withBundles(release(), [bundle]);
    const san = `${WORKFLOW}@refs/tags/v1.2.0`;
    const denying = (...signers: string[]) => ({ ...keyless(), denied: { digests: [], signers } });
    for (const denied of [san, WORKFLOW]) {
      expectRefusal('DENIED', () => verifyTarget(target, [bundle], denying(denied), PRODUCT, root));
    }
    verifyTarget(target, [bundle], denying(`${WORKFLOW}@refs/tags/v1.1.0`), PRODUCT, root);
  });

  it('takes a retired key only with a trusted time before its retirement', () => {
    const [active] = trusted.products[PRODUCT]!.builders as KeyBuilder[];
    const retiredAt = (ms: number) =>
      about({
        builders: [
          { ...active!, state: 'retired', retiredAt: new Date(ms).toISOString().replace('.000Z', 'Z') },
        ],
      });
    const logged = withEntries(good, [sigstore.logs[0]]);
    expect(codeOf(() => verify(logged, retiredAt(SIGNED_AT + 1000), root))).toBe('accepted');
    expectRefusal('BUILDER_REVOKED', () => verify(logged, retiredAt(SIGNED_AT), root));
    expectRefusal('BUILDER_REVOKED', () => verify(good, retiredAt(SIGNED_AT + 1000), root));
    const unknownLog = withEntries(good, [new TestLog('https://log-one.example')]);
    expectRefusal('BUNDLE_INVALID', () => verify(unknownLog, retiredAt(SIGNED_AT + 1000), root));
  });

  it('takes a retired and a compromised identity likewise', async () => {
    const bundle = await sigstore.bundle(statement());
    expectRefusal('BUILDER_REVOKED', () => verify(bundle, keyless({ state: 'compromised' }), root));
    const retired = { state: 'retired' as const, retiredAt: '2026-11-01T00:00:00Z' };
    expectRefusal('BUILDER_REVOKED', () => verify(bundle, keyless(retired), root));
  });
});

describe('verifyRelease', () => {
  const target = withBundles(release(), [good]);

  it('accepts a release whose target and statement agree', () => {
    expect(verifyTarget(target, [good])).toMatchObject({ target, signer: builder.hint });
  });

  it('needs one valid bundle, whatever the others are', () => {
    const bad = keyBundle(testKey('p256'), statement());
    const both = withBundles(release(), [bad, good]);
    expect(codeOf(() => verifyTarget(both, [bad, good]))).toBe('accepted');
    expectRefusal('BUILDER_UNKNOWN', () => verifyTarget(both, [bad]));
    expectRefusal('BUNDLE_MISSING', () => verifyTarget(target, []));
  });

  it('refuses a bundle that the target does not list', () => {
    expectRefusal('BUNDLE_INVALID', () => verifyTarget(release(), [good]));
    // As valid, and as long, but not the bytes that the release engineers signed.
    const turned = Buffer.from(
      JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(good.toString()) as object).reverse())),
    );
    expect(turned).toHaveLength(good.length);
    expectRefusal('BUNDLE_INVALID', () => verifyTarget(target, [turned]));
    const [listed] = target.custom.bundles;
    const longer = { ...target.custom, bundles: [{ ...listed!, length: good.length + 1 }] };
    expectRefusal('BUNDLE_INVALID', () => verifyTarget({ ...target, custom: longer }, [good]));
  });

  it.each([
    ['version', { version: '1.2.1' }],
    ['hardware', { hardware: ['dc150-r1', 'dc150-r3'] }],
    ['more hardware', { hardware: ['dc150-r1', 'dc150-r2', 'dc150-r3'] }],
    ['security version', { securityVersion: 4 }],
  ])('refuses a target that disagrees with the build on %s', (_, changes) => {
    const lying = withBundles(release(changes), [good]);
    expectRefusal('STATEMENT_MISMATCH', () => verifyTarget(lying, [good]));
  });

  it('refuses a build of another product signed into this one', () => {
    const foreign = keyBundle(builder, statement(release({ product: 'acme.ac22' })));
    expectRefusal('STATEMENT_MISMATCH', () => verifyTarget(withBundles(release(), [foreign]), [foreign]));
  });

  it('does not mind the order of the hardware', () => {
    const turned = withBundles(release({ hardware: ['dc150-r2', 'dc150-r1'] }), [good]);
    expect(codeOf(() => verifyTarget(turned, [good]))).toBe('accepted');
  });

  it('refuses another product', () => {
    expectRefusal('PRODUCT_MISMATCH', () => verifyTarget(target, [good], trusted, 'acme.ac22'));
  });

  it('refuses what the policy denies, by image and by signer', () => {
    const deny = (denied: Partial<TrustPolicy['denied']>) => ({
      ...trusted,
      denied: { digests: [], signers: [], ...denied },
    });
    expectRefusal('DENIED', () => verifyTarget(target, [good], deny({ digests: [target.sha256] })));
    expectRefusal('DENIED', () => verifyTarget(target, [good], deny({ signers: [builder.hint] })));
  });

  it('refuses above the cap and below the emergency floor', () => {
    expectRefusal('ABOVE_CAP', () => verifyTarget(target, [good], about({ securityVersionCap: 2 })));
    expectRefusal('BELOW_EMERGENCY_FLOOR', () => verifyTarget(target, [good], about({ emergencyFloor: 4 })));
  });
});
