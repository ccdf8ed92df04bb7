/** Keyless and witnessed signing against a private Sigstore on loopback: each bundle as an independent verifier and as a charger see it. */
import { createHash, createPublicKey } from 'node:crypto';
import { bundleFromJSON } from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import { verifyBundle, verifySbom } from '@tidegate/client-sdk/trust';
import {
  attestBuild,
  attestSbom,
  type Deployment,
  identitySigning,
  keySigning,
  parseSigningConfig,
  parseToken,
  readSbom,
  signBlob,
  type Signing,
} from '@tidegate/signer/attest';
import { generateKey, hintOf } from '@tidegate/signer/keys';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectVerified, policyFor } from '../support/bundles.ts';
import { IDENTITY, ISSUER, testSigstore, type TestSigstore } from '../support/sigstore.ts';

const IMAGE = Buffer.from('firmware');
const SHA256 = createHash('sha256').update(IMAGE).digest('hex');
const PRODUCT = 'acme.dc150';
const BUILD = {
  image: { name: 'fw.bin', sha256: SHA256 },
  parameters: { product: PRODUCT, version: '1.2.0', hardware: ['dc150-r2'], securityVersion: 3 },
  builder: IDENTITY,
};

let sigstore: TestSigstore;
beforeAll(async () => {
  sigstore = await testSigstore();
});
afterAll(() => sigstore.close());

function deployment(options: Parameters<TestSigstore['signingConfig']>[0] = {}): Deployment {
  const config = parseSigningConfig(sigstore.signingConfig(options));
  return { config, trustedRoot: sigstore.trustedRoot, now: Date.now() };
}

function byIdentity(options?: Parameters<TestSigstore['signingConfig']>[0], claims = {}): Promise<Signing> {
  return identitySigning(parseToken(sigstore.token(claims), Date.now()), deployment(options));
}

/** The repository, the workflow and the tag that the policy of a product would name. */
const BUILDER = {
  kind: 'identity',
  issuer: ISSUER,
  workflow: IDENTITY.split('@')[0],
  ref: 'refs/tags/v*',
  state: 'active',
};

describe.each([
  { name: 'Rekor v1 and a timestamp', rekor: [1], timestamps: true, clocks: 2 },
  { name: 'Rekor v1 alone, which tells the time', rekor: [1], timestamps: false, clocks: 1 },
  { name: 'Rekor v2 and a timestamp', rekor: [2], timestamps: true, clocks: 1 },
])('keyless with $name', ({ rekor, timestamps, clocks }) => {
  const policy = policyFor(PRODUCT, BUILDER, { logs: 1, timestamps: clocks });

  it('verifies with an independent verifier and on a charger that knows the workflow', async () => {
    const bundle = await attestBuild(BUILD, await byIdentity({ rekor, timestamps }));
    const json: unknown = JSON.parse(Buffer.from(bundle).toString('utf8'));
    const root = TrustedRoot.fromJSON(JSON.parse(sigstore.trustedRoot.toString()));
    const verifier = new Verifier(toTrustMaterial(root), { timestampThreshold: clocks });
    const { identity } = verifier.verify(toSignedEntity(bundleFromJSON(json)));
    expect(identity?.subjectAlternativeName).toBe(IDENTITY);
    expect(json).toMatchObject({
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: {
        certificate: { rawBytes: expect.any(String) as string },
        // A list, also where nothing is in it.
        tlogEntries: [{ inclusionProof: { hashes: expect.any(Array) as string[] } }],
      },
    });
    const sigstoreRoot = sigstore.trustedRoot;
    const verified = verifyBundle({ bundle, sha256: SHA256, policy, product: PRODUCT, sigstoreRoot });
    expect(verified.signer).toBe(IDENTITY);
    expect(verified.statement.predicate.buildDefinition.externalParameters).toEqual(BUILD.parameters);
  });

  it('attests an SBOM with the same certificate, to the same image', async () => {
    const signing = await byIdentity({ rekor, timestamps });
    const sbom = readSbom(Buffer.from('{"bomFormat":"CycloneDX","specVersion":"1.6","components":[]}'));
    const bundle = await attestSbom({ ...BUILD.image, product: PRODUCT }, sbom, signing);
    const input = { bundle, policy, product: PRODUCT, sigstoreRoot: sigstore.trustedRoot };
    expect(verifySbom({ ...input, sha256: SHA256 }).statement.predicate).toEqual(sbom.document);
    const refused = expect.objectContaining({ code: 'BUNDLE_INVALID' }) as Error;
    expect(() => verifySbom({ ...input, sha256: 'd'.repeat(64) })).toThrow(refused);
    // Neither passes for the other.
    expect(() => verifyBundle({ ...input, sha256: SHA256 })).toThrow(refused);
    const provenance = await attestBuild(BUILD, signing);
    expect(() => verifySbom({ ...input, bundle: provenance, sha256: SHA256 })).toThrow(refused);
  });
});

describe('keys with witnesses', () => {
  it.each([
    ['ecdsa-sha2-nistp256', [1], 2],
    ['ecdsa-sha2-nistp256', [2], 1],
    ['ed25519', [1], 2],
    ['ed25519', [1, 2], 2],
  ] as const)('%s in Rekor %j, with %i times', async (scheme, rekor, timestamps) => {
    const key = generateKey(scheme);
    const bundle = await attestBuild(BUILD, keySigning(key, deployment({ rekor: [...rekor] })));
    const trustedRoot: unknown = JSON.parse(sigstore.trustedRoot.toString());
    const verified = expectVerified(bundle, key, SHA256, { trustedRoot, logs: 1, timestamps });
    expect(verified.signer).toBe(hintOf(key.publicKey));
  });

  it('enter an entry that is there already once, and use it', async () => {
    const key = generateKey('ed25519');
    const sign = () => attestBuild(BUILD, keySigning(key, deployment({ timestamps: false })));
    const [first, again] = [await sign(), await sign()];
    expect(JSON.parse(Buffer.from(again).toString())).toEqual(JSON.parse(Buffer.from(first).toString()));
  });

  it('refuse an Ed25519 key where only Rekor v2 could log it', () => {
    const refused = expect.objectContaining({ code: 'SCHEME_UNFIT' }) as Error;
    expect(() => keySigning(generateKey('ed25519'), deployment({ rekor: [2] }))).toThrow(refused);
  });
});

describe('a blob', () => {
  it.each([
    ['a P-256 key', () => Promise.resolve(keySigning(generateKey('ecdsa-sha2-nistp256'), deployment()))],
    ['an identity', () => byIdentity({ rekor: [2] })],
  ])('is signed by %s as a message signature v0.3', async (_, make) => {
    const signing = await make();
    const json = JSON.parse(Buffer.from(await signBlob(IMAGE, signing)).toString()) as { mediaType: string };
    expect(json.mediaType).toBe('application/vnd.dev.sigstore.bundle.v0.3+json');
    const root = TrustedRoot.fromJSON(JSON.parse(sigstore.trustedRoot.toString()));
    const trust = toTrustMaterial(root, () => {
      if (signing.builder.kind !== 'key') throw new Error('a bundle with a certificate names no key');
      return { publicKey: createPublicKey(signing.builder.publicKey), validFor: () => true };
    });
    const verifier = new Verifier(trust, { ctlogThreshold: 0 });
    verifier.verify(toSignedEntity(bundleFromJSON(json), IMAGE));
    expect(() => verifier.verify(toSignedEntity(bundleFromJSON(json), Buffer.from('other')))).toThrow();
  });

  it('is refused for an Ed25519 key, which verifiers would hold against a digest', async () => {
    await expect(signBlob(IMAGE, keySigning(generateKey('ed25519')))).rejects.toMatchObject({
      code: 'SCHEME_UNFIT',
    });
  });
});

describe('who is certified', () => {
  it('may be a pipeline whose URI has no ref', async () => {
    const pipeline = 'https://buildkite.com/acme/firmware';
    const bundle = await attestBuild(BUILD, await byIdentity({}, { identity: pipeline }));
    const whole = { ...BUILDER, workflow: pipeline, ref: '' };
    const policy = policyFor(PRODUCT, whole, { logs: 1, timestamps: 1 });
    const sigstoreRoot = sigstore.trustedRoot;
    expect(verifyBundle({ bundle, sha256: SHA256, policy, product: PRODUCT, sigstoreRoot }).signer).toBe(
      pipeline,
    );
  });

  it('refuses a person, whom no policy can name, before anything is in a log', async () => {
    const token = parseToken(sigstore.token({ email: 'ann@acme.example', email_verified: true }), Date.now());
    await expect(identitySigning(token, deployment())).rejects.toMatchObject({ code: 'IDENTITY_UNUSABLE' });
    expect(sigstore.requests.at(-1)).toBe('POST /api/v2/signingCert');
    expect((await identitySigning(token, deployment(), 'anybody')).name).toBe('ann@acme.example');
  });

  it('is found out where the certificate names another issuer than the token', async () => {
    const identity = parseToken(sigstore.token(), Date.now());
    const other = await identitySigning({ ...identity, issuer: 'https://other.example' }, deployment());
    await expect(attestBuild(BUILD, other)).rejects.toMatchObject({ code: 'BUILDER_UNKNOWN' });
  });
});

it('an identity needs a log, even where it has a timestamp and the policy forgets to ask', async () => {
  const bundle = JSON.parse(
    Buffer.from(await attestBuild(BUILD, await byIdentity({ rekor: [2] }))).toString(),
  ) as {
    verificationMaterial: { tlogEntries: unknown[] };
  };
  const verify = () =>
    verifyBundle({
      bundle: Buffer.from(JSON.stringify(bundle)),
      sha256: SHA256,
      policy: policyFor(PRODUCT, BUILDER, { logs: 0, timestamps: 0 }),
      product: PRODUCT,
      sigstoreRoot: sigstore.trustedRoot,
    });
  expect(verify().signer).toBe(IDENTITY);
  bundle.verificationMaterial.tlogEntries = [];
  expect(verify).toThrow(expect.objectContaining({ code: 'EVIDENCE_MISSING' }) as Error);
});

describe('timestamps', () => {
  /** Ed25519 signs alike each time, so that what any authority says is about the same signature. */
  const key = generateKey('ed25519');
  interface Stamped {
    verificationMaterial: { timestampVerificationData: { rfc3161Timestamps: unknown[] } };
  }
  async function stampedBy(path: string): Promise<Stamped> {
    const tsaUrls = [{ url: sigstore.url + path, majorApiVersion: 1, operator: 'clocks' }];
    const unlogged = deployment({ changes: { rekorTlogUrls: [], tsaUrls } });
    const bundle = await attestBuild(BUILD, keySigning(key, unlogged));
    return JSON.parse(Buffer.from(bundle).toString('utf8')) as Stamped;
  }

  it.each([
    ['of one authority', '/later/api/v1/timestamp'],
    ['of one authority that renewed its certificate in between', '/renewed/api/v1/timestamp'],
  ])('%s are one, however many there are', async (_, again) => {
    const bundle = await stampedBy('/api/v1/timestamp');
    const { rfc3161Timestamps: stamps } = bundle.verificationMaterial.timestampVerificationData;
    stamps.push(...(await stampedBy(again)).verificationMaterial.timestampVerificationData.rfc3161Timestamps);
    expect(stamps).toHaveLength(2);
    const builder = { kind: 'key', keyId: hintOf(key.publicKey), publicKey: key.publicKey, state: 'active' };
    const verify = (timestamps: number, operators: string[] = []) =>
      verifyBundle({
        bundle: Buffer.from(JSON.stringify(bundle)),
        sha256: SHA256,
        policy: policyFor(PRODUCT, builder, { logs: 0, timestamps }),
        product: PRODUCT,
        sigstoreRoot: runBy(operators),
      });
    expect(verify(1).signer).toBe(hintOf(key.publicKey));
    const tooFew = expect.objectContaining({ code: 'EVIDENCE_MISSING' }) as Error;
    expect(() => verify(2)).toThrow(tooFew);
    expect(() => verify(2, ['acme.example', 'acme.example'])).toThrow(tooFew);
    // Where the root says who runs them, that counts.
    if (again.startsWith('/renewed'))
      expect(verify(2, ['acme.example', 'other.example']).signer).toBeDefined();
    else expect(() => verify(2, ['acme.example', 'other.example'])).toThrow(tooFew);
  });

  function runBy(operators: string[]): Buffer {
    const root = JSON.parse(sigstore.trustedRoot.toString()) as { timestampAuthorities: object[] };
    operators.forEach((operator, i) => Object.assign(root.timestampAuthorities[i]!, { operator }));
    return Buffer.from(JSON.stringify(root));
  }
});

describe('a deployment', () => {
  let other: TestSigstore;
  beforeAll(async () => {
    other = await testSigstore();
  });
  afterAll(() => other.close());

  it.each([
    ['Rekor v1', [1]],
    ['Rekor v2', [2]],
  ])('of another trusted root is noticed before anything is written: %s', async (_, rekor) => {
    const mixed = { ...deployment({ rekor }), trustedRoot: other.trustedRoot };
    const keyless = await identitySigning(parseToken(sigstore.token(), Date.now()), mixed);
    await expect(attestBuild(BUILD, keyless)).rejects.toMatchObject({ code: 'BUNDLE_INVALID' });
    const key = keySigning(generateKey('ecdsa-sha2-nistp256'), mixed);
    await expect(attestBuild(BUILD, key)).rejects.toMatchObject({ code: 'BUNDLE_INVALID' });
  });

  it('of Rekor v2 without a timestamp authority cannot say when an identity signed', async () => {
    const timeless = await byIdentity({ rekor: [2], timestamps: false });
    await expect(attestBuild(BUILD, timeless)).rejects.toMatchObject({ code: 'EVIDENCE_MISSING' });
  });

  it('without a log, or a Fulcio, certifies nobody', async () => {
    const before = sigstore.requests.length;
    for (const changes of [{ rekorTlogUrls: [] }, { caUrls: [] }]) {
      await expect(byIdentity({ changes })).rejects.toMatchObject({ code: 'SERVICE_NONE' });
    }
    expect(sigstore.requests).toHaveLength(before);
  });
});
