import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { KeyBuilder, TrustPolicy } from '../protocol/index.ts';
import { parseCustom } from './custom.ts';
import { parsePolicy, productPolicyOf, spkiDigest } from './policy.ts';
import { testKey } from './testing/keys.ts';
import { expectRefusal } from './testing/refused.ts';
import { custom, policy } from './testing/releases.ts';
import { inDays, PRODUCT } from './testing/repository.ts';

const builder = testKey('p256');
const director = testKey();
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  .publicKey.export({ format: 'pem', type: 'spki' })
  .toString();

function changed(change: (raw: TrustPolicy) => void): Buffer {
  const raw = structuredClone(policy(builder, director));
  change(raw);
  return Buffer.from(JSON.stringify(raw));
}
const first = (raw: TrustPolicy) => raw.products[PRODUCT]!.builders[0] as KeyBuilder;
/** The same P-256 key with its point compressed. RFC 5480 2.2 */
function compressed(pem: string): string {
  const der = createPublicKey(pem).export({ format: 'der', type: 'spki' });
  const [x, y] = [der.subarray(-64, -32), der.subarray(-32)];
  const point = [Buffer.from([0x03, 34, 0, 2 + (y[31]! & 1)]), x];
  const spki = Buffer.concat([Buffer.from([0x30, 57]), der.subarray(2, 23), ...point]);
  return `-----BEGIN PUBLIC KEY-----\n${spki.toString('base64')}\n-----END PUBLIC KEY-----\n`;
}
const identity = {
  kind: 'identity' as const,
  issuer: 'https://ci.example',
  workflow: 'https://ci.example/acme/fw/release.yml',
  ref: 'refs/tags/v*',
  state: 'active' as const,
};

describe('parsePolicy', () => {
  it('reads what is well-formed', () => {
    expect(parsePolicy(changed(() => {}))).toMatchObject(policy(builder, director));
    const ed25519 = policy(testKey(), director);
    expect(parsePolicy(Buffer.from(JSON.stringify(ed25519)))).toMatchObject(ed25519);
    parsePolicy(changed((raw) => raw.products[PRODUCT]!.builders.push(identity)));
    const asking = changed((raw) => {
      first(raw).party = 'ci';
      raw.products[PRODUCT]!.builders.push({ ...identity, party: 'second-site' });
      Object.assign(raw.products[PRODUCT]!, { builderThreshold: 2, sbom: 'required' });
    });
    expect(parsePolicy(asking).products[PRODUCT]).toMatchObject({ builderThreshold: 2, sbom: 'required' });
  });

  it.each<[string, (raw: TrustPolicy) => void]>([
    ['an unknown member', (raw) => Object.assign(raw, { surprise: true })],
    ['a key id that is not the key’s', (raw) => (first(raw).keyId = '0'.repeat(64))],
    [
      'a director key id that is not the key’s',
      (raw) => (raw.directors['acme']!.keys[0]!.keyId = '0'.repeat(64)),
    ],
    [
      'a director key that is not Ed25519',
      (raw) => Object.assign(raw.directors['acme']!.keys[0]!, { publicKey: builder.pem, keyId: builder.id }),
    ],
    [
      'a builder key of a kind that DSSE is not verified with here',
      (raw) => Object.assign(first(raw), { publicKey: p384, keyId: spkiDigest(createPublicKey(p384)) }),
    ],
    [
      'a builder key in another encoding, under another id',
      (raw) => {
        const twin = compressed(first(raw).publicKey);
        const keyId = spkiDigest(createPublicKey(twin));
        expect(keyId).not.toBe(first(raw).keyId);
        raw.products[PRODUCT]!.builders.push({ ...first(raw), publicKey: twin, keyId });
        raw.products[PRODUCT]!.builderThreshold = 2;
      },
    ],
    ['retirement without its time', (raw) => (first(raw).state = 'retired')],
    ['a time of retirement on an active key', (raw) => (first(raw).retiredAt = inDays(0))],
    ['an emergency floor above the cap', (raw) => (raw.products[PRODUCT]!.emergencyFloor = 11)],
    ['a product name with a slash', (raw) => (raw.products['acme/dc150'] = raw.products[PRODUCT]!)],
    ['any branch', (raw) => raw.products[PRODUCT]!.builders.push({ ...identity, ref: '*' })],
    [
      'a pattern inside a ref',
      (raw) => raw.products[PRODUCT]!.builders.push({ ...identity, ref: 'refs/*/v1' }),
    ],
    [
      'a ref inside the workflow',
      (raw) =>
        raw.products[PRODUCT]!.builders.push({
          ...identity,
          workflow: 'https://ci.example/a@refs/heads/main',
        }),
    ],
    ['version 0', (raw) => (raw.version = 0)],
    ['an SBOM that may be what it likes', (raw) => Object.assign(raw.products[PRODUCT]!, { sbom: true })],
    ['no builder at all', (raw) => (raw.products[PRODUCT]!.builderThreshold = 0)],
    ['more builders than there are', (raw) => (raw.products[PRODUCT]!.builderThreshold = 2)],
    [
      'more builders than there are parties',
      (raw) => {
        first(raw).party = 'ci';
        raw.products[PRODUCT]!.builders.push({ ...identity, party: 'ci' });
        raw.products[PRODUCT]!.builderThreshold = 2;
      },
    ],
    [
      'one workflow in two parties',
      (raw) =>
        raw.products[PRODUCT]!.builders.push(
          { ...identity, party: 'one' },
          { ...identity, party: 'two', ref: 'refs/heads/main' },
        ),
    ],
    ['a party of no name', (raw) => (first(raw).party = 'The CI')],
  ])('refuses %s', (_, change) => {
    expectRefusal('POLICY_MALFORMED', () => parsePolicy(changed(change)));
  });

  it('refuses what is no JSON, and what is too long', () => {
    expectRefusal('POLICY_MALFORMED', () => parsePolicy(Buffer.from('{"_type":')));
    expectRefusal('POLICY_MALFORMED', () => parsePolicy(Buffer.alloc(300 * 1024, 0x20)));
  });

  it('knows no product that is not named, not even by the prototype', () => {
    const parsed = parsePolicy(changed(() => {}));
    for (const product of ['acme.ac22', 'constructor', '__proto__']) {
      expectRefusal('BUILDER_UNKNOWN', () => productPolicyOf(parsed, product));
    }
  });
});

describe('parseCustom', () => {
  const side = { path: `${PRODUCT}/a.json`, sha256: '0'.repeat(64), length: 1 };
  const fallback = { path: `${PRODUCT}/a.raucb`, sha256: '0'.repeat(64), expires: inDays(1), auto: false };

  it('reads what is well-formed', () => {
    const full = custom({
      fallback: [fallback],
      bundles: [side],
      sbom: side,
      cves: ['CVE-2026-1'],
      notes: 'Fixes:\n\tthe lock 🔒',
      deprecated: 'the display flickers',
    });
    expect(parseCustom(full)).toEqual(full);
  });

  it.each([
    ['nothing', undefined],
    ['an unknown member', { ...custom(), surprise: 1 }],
    ['no hardware', custom({ hardware: [] })],
    ['a negative security version', custom({ securityVersion: -1 })],
    ['a version that is no version', custom({ version: '1.2' })],
    ['a fallback of another product', custom({ fallback: [{ ...fallback, path: 'acme.ac22/a.raucb' }] })],
    ['a bundle outside its product', custom({ bundles: [{ ...side, path: '../a.json' }] })],
    ['an sbom of another product', custom({ sbom: { ...side, path: 'acme.ac22/a.json' } })],
    ['a NUL in the notes', custom({ notes: 'a\u0000b' })],
    ['half a character in the notes', custom({ notes: 'a\ud800b' })],
    ['deprecated for no reason', { ...custom(), deprecated: '' }],
    ['an expiry that is no time', custom({ fallback: [{ ...fallback, expires: 'never' }] })],
  ])('refuses %s', (_, value) => {
    expectRefusal('TARGET_MALFORMED', () => parseCustom(value));
  });
});
