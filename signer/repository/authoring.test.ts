import { createHash } from 'node:crypto';
import type { ReleaseTarget } from '@tidegate/client-sdk/protocol';
import { parseRoot, parseTargets, TrustedSet } from '@tidegate/client-sdk/trust';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateKey, type PrivateKey } from '../keys/index.ts';
import {
  addRelease,
  addReleases,
  addSignature,
  addTarget,
  bump,
  checkSigned,
  delegateProduct,
  encode,
  LIFETIME_DAYS,
  type Metadata,
  newProductRole,
  newRoot,
  newSnapshot,
  newTargets,
  newTimestamp,
  productRole,
  productsOf,
  releasesOf,
  signatureStatus,
  type Signed,
  type Role,
  topLevelRole,
} from './index.ts';

const NOW = Date.parse('2026-11-22T12:00:00.789Z');
const PRODUCT = 'acme.dc150';
const people = [generateKey(), generateKey(), generateKey()] as const;
const engineers = [generateKey(), generateKey()] as const;
const online = { snapshot: generateKey(), timestamp: generateKey() };

const root = newRoot(
  {
    root: { keys: [...people], threshold: 2 },
    targets: { keys: [...people], threshold: 2 },
    snapshot: { keys: [online.snapshot], threshold: 1 },
    timestamp: { keys: [online.timestamp], threshold: 1 },
  },
  NOW,
);
const targets = delegateProduct(newTargets(NOW), PRODUCT, { keys: [...engineers], threshold: 2 });
const role = productRole(targets, PRODUCT);

function release(version: string, change: Partial<ReleaseTarget['custom']> = {}): ReleaseTarget {
  return {
    path: `${PRODUCT}/dc150-${version}.bin`,
    sha256: createHash('sha256').update(version).digest('hex'),
    length: 10,
    custom: {
      product: PRODUCT,
      version,
      hardware: ['dc150-r2'],
      securityVersion: 1,
      fallback: [],
      bundles: [],
      notes: '',
      sbom: null,
      cves: [],
      ...change,
    },
  };
}

async function signed<T extends Signed>(
  metadata: Metadata<T>,
  role: Role,
  keys: readonly PrivateKey[],
): Promise<Metadata<T>> {
  let result = metadata;
  for (const key of keys) result = await addSignature(result, role, key);
  return result;
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe('documents', () => {
  it('live as long as documented, to the second', () => {
    expect(LIFETIME_DAYS).toEqual({ root: 90, targets: 90, product: 90, snapshot: 7, timestamp: 1 });
    expect(root.signed.expires).toBe('2027-02-20T12:00:00Z');
    const snapshot = newSnapshot({ targets, products: new Map() }, 1, NOW);
    expect(snapshot.signed.expires).toBe('2026-11-29T12:00:00Z');
    expect(newTimestamp(encode(snapshot), 1, NOW).signed.expires).toBe('2026-11-23T12:00:00Z');
  });

  it('get a new version, a full life and no signatures when they are bumped', async () => {
    const whole = await signed(root, topLevelRole(root, 'root'), people.slice(0, 2));
    const later = bump(whole, 'root', NOW + 1000);
    expect(later).toMatchObject({ signed: { version: 2, expires: '2027-02-20T12:00:01Z' }, signatures: [] });
    expect(whole.signed.version).toBe(1);
  });

  it('are what a charger walks, from the root to a release', async () => {
    const file = { sha256: 'a'.repeat(64), length: 3 };
    const top = await signed(
      addTarget(targets, 'trust/policy.json', file),
      topLevelRole(root, 'targets'),
      people.slice(1),
    );
    const product = await signed(addRelease(newProductRole(NOW), PRODUCT, release('1.0.0')), role, engineers);
    const snapshot = await signed(
      newSnapshot({ targets: encode(top), products: new Map([[PRODUCT, encode(product)]]) }, 1, NOW),
      topLevelRole(root, 'snapshot'),
      [online.snapshot],
    );
    const timestamp = await signed(newTimestamp(encode(snapshot), 1, NOW), topLevelRole(root, 'timestamp'), [
      online.timestamp,
    ]);
    const whole = await signed(root, topLevelRole(root, 'root'), people.slice(0, 2));
    const set = TrustedSet.start(encode(whole));
    set.updateTimestamp(encode(timestamp), NOW);
    set.updateSnapshot(encode(snapshot), NOW);
    set.updateTargets(encode(top), NOW);
    set.updateProductRole(PRODUCT, encode(product), NOW);
    expect(set.topTarget('trust/policy.json')).toMatchObject(file);
    expect(set.productTarget(PRODUCT, `${PRODUCT}/dc150-1.0.0.bin`)).toEqual(release('1.0.0'));
  });

  it('refuse a threshold that nobody or one key alone can meet', () => {
    const quorum = (keys: PrivateKey[], threshold: number) => () =>
      delegateProduct(newTargets(NOW), PRODUCT, { keys, threshold });
    expect(codeOf(quorum([people[0]], 2))).toBe('THRESHOLD_INVALID');
    expect(codeOf(quorum([people[0], people[0]], 2))).toBe('THRESHOLD_INVALID');
    expect(codeOf(quorum([people[0]], 0))).toBe('THRESHOLD_INVALID');
  });
});

describe('a product', () => {
  it('is delegated by name, over its own paths, terminating', () => {
    expect(productsOf(targets)).toEqual([PRODUCT]);
    expect(targets.signed.delegations?.roles[0]).toMatchObject({
      name: PRODUCT,
      paths: [`${PRODUCT}/*`],
      terminating: true,
    });
    expect(codeOf(() => parseTargets(encode(targets)))).toBeUndefined();
    expect(codeOf(() => parseRoot(encode(root)))).toBeUndefined();
  });

  it('is refused twice, unnamed, or unknown', () => {
    const quorum = { keys: [...engineers], threshold: 2 };
    expect(codeOf(() => delegateProduct(targets, PRODUCT, quorum))).toBe('PRODUCT_EXISTS');
    expect(codeOf(() => delegateProduct(targets, 'acme/dc150', quorum))).toBe('PRODUCT_NAME');
    expect(codeOf(() => productRole(targets, 'acme.other'))).toBe('PRODUCT_UNKNOWN');
  });
});

describe('a release', () => {
  const one = addRelease(newProductRole(NOW), PRODUCT, release('1.0.0'));
  const back = (change = {}) => ({
    path: `${PRODUCT}/dc150-1.0.0.bin`,
    sha256: release('1.0.0').sha256,
    expires: '2027-01-01T00:00:00Z',
    auto: false,
    ...change,
  });

  it('is listed, described anew, and leaves the earlier value as it was', () => {
    const two = addRelease(one, PRODUCT, release('1.1.0', { fallback: [back()] }));
    const described = addRelease(two, PRODUCT, release('1.0.0', { notes: 'better' }));
    expect(releasesOf(one)).toHaveLength(1);
    expect(releasesOf(described).map(({ custom }) => custom.notes)).toEqual(['better', '']);
  });

  it.each([
    ['other bytes under its version', { ...release('1.0.0'), sha256: '0'.repeat(64) }, 'RELEASE_EXISTS'],
    ['its version under another path', { ...release('1.0.0'), path: `${PRODUCT}/x.bin` }, 'RELEASE_EXISTS'],
    [
      'its bytes as another version',
      { ...release('1.1.0'), sha256: release('1.0.0').sha256 },
      'DIGEST_EXISTS',
    ],
    ['a path outside the product', { ...release('1.1.0'), path: 'acme.other/x.bin' }, 'TARGET_PATH'],
    ['a path below the product', { ...release('1.1.0'), path: `${PRODUCT}/a/x.bin` }, 'TARGET_PATH'],
    ['a hidden file', { ...release('1.1.0'), path: `${PRODUCT}/.x` }, 'TARGET_PATH'],
    ['another product', release('1.1.0', { product: 'acme.other' }), 'CUSTOM_INVALID'],
    ['no hardware', release('1.1.0', { hardware: [] }), 'CUSTOM_INVALID'],
    [
      'a fallback that is not listed',
      release('1.1.0', { fallback: [back({ path: `${PRODUCT}/x` })] }),
      'FALLBACK_UNKNOWN',
    ],
    [
      'a fallback of other bytes',
      release('1.1.0', { fallback: [back({ sha256: '0'.repeat(64) })] }),
      'FALLBACK_UNKNOWN',
    ],
  ])('is refused with %s', (_, target, code) => {
    expect(codeOf(() => addRelease(one, PRODUCT, target))).toBe(code);
  });

  it('may be one of 10,000, each authored once and found again by a charger', async () => {
    const many = Array.from({ length: 10_000 }, (_, i) => release(`1.${i}.0`));
    const big = await signed(addReleases(newProductRole(NOW), PRODUCT, many), role, engineers);
    expect(parseTargets(encode(big)).signed.targets.size).toBe(10_000);
    expect(signatureStatus(big, role).complete).toBe(true);
  });
});

describe('signatures', () => {
  it('refuse a key of another role, the same key twice, and a signer that lies', async () => {
    const once = await addSignature(targets, role, engineers[0]);
    await expect(addSignature(once, role, people[0])).rejects.toMatchObject({ code: 'KEY_NOT_OF_ROLE' });
    await expect(addSignature(once, role, engineers[0])).rejects.toMatchObject({ code: 'ALREADY_SIGNED' });
    const liar = { ...engineers[1], sign: () => Promise.resolve(Buffer.alloc(64)) };
    await expect(addSignature(once, role, liar)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    expect(codeOf(() => checkSigned(once, role))).toBe('THRESHOLD_NOT_MET');
  });

  it('take the place of one that does not verify', async () => {
    const broken = { ...targets, signatures: [{ keyid: engineers[0].keyId, sig: '00'.repeat(64) }] };
    expect(signatureStatus(broken, role).signed).toEqual([]);
    const mended = await addSignature(broken, role, engineers[0]);
    expect(mended.signatures).toHaveLength(1);
    expect(signatureStatus(mended, role).signed).toEqual([engineers[0].keyId]);
  });

  it('are complete exactly when the threshold of distinct keys is met, in any order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray([...people]),
        fc.integer({ min: 1, max: 3 }),
        async (keys, threshold) => {
          const some = { ...topLevelRole(root, 'targets'), threshold };
          const status = signatureStatus(await signed(targets, some, keys), some);
          expect(status.complete).toBe(keys.length >= threshold);
          expect([...status.signed, ...status.missing].sort()).toEqual(
            people.map(({ keyId }) => keyId).sort(),
          );
        },
      ),
      { numRuns: 30, seed: 3 },
    );
  });
});

it('keeps 200 products with three engineers each apart, as a charger reads them', async () => {
  const products = Array.from({ length: 200 }, (_, i) => ({
    name: `acme.p${i}`,
    keys: [generateKey(), generateKey(), generateKey()],
  }));
  let all = newTargets(NOW);
  for (const { name, keys } of products) all = delegateProduct(all, name, { keys, threshold: 2 });
  all = await signed(all, topLevelRole(root, 'targets'), people.slice(0, 2));
  const roles = new Map<string, Uint8Array>();
  for (const { name, keys } of products) {
    roles.set(name, encode(await signed(newProductRole(NOW), productRole(all, name), keys.slice(1))));
  }
  const snapshot = await signed(
    newSnapshot({ targets: all, products: roles }, 1, NOW),
    topLevelRole(root, 'snapshot'),
    [online.snapshot],
  );
  const timestamp = await signed(newTimestamp(encode(snapshot), 1, NOW), topLevelRole(root, 'timestamp'), [
    online.timestamp,
  ]);
  const signedRoot = await signed(root, topLevelRole(root, 'root'), people.slice(0, 2));
  const set = TrustedSet.start(encode(signedRoot));
  set.updateTimestamp(encode(timestamp), NOW);
  set.updateSnapshot(encode(snapshot), NOW);
  set.updateTargets(encode(all), NOW);
  for (const { name } of products) set.updateProductRole(name, roles.get(name)!, NOW);
  expect(productsOf(all)).toHaveLength(200);
  // The keys of one product say nothing about another.
  const [first, second] = products;
  const foreign = await signed(newProductRole(NOW), productRole(all, first!.name), first!.keys);
  expect(codeOf(() => checkSigned(foreign, productRole(all, second!.name)))).toBe('THRESHOLD_NOT_MET');
});
