/** What the specification allows and our own repositories never use: any TUF client reads it, a charger refuses it. */
import { constants, generateKeyPairSync, sign } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { TIDEGATE, TUF, type Dialect } from './dialect.ts';
import { keyIdOf } from './keys.ts';
import { testKey, type TestKey } from './testing/keys.ts';
import { expectRefusal } from './testing/refused.ts';
import { NOW, PRODUCT, signed, type TestRepository } from './testing/repository.ts';
import { published } from './testing/walk.ts';
import { TrustedSet } from './trusted-set.ts';

let repository: TestRepository;
beforeEach(() => {
  repository = published();
});

const start = (dialect: Dialect) => TrustedSet.start(repository.file('metadata/1.root.json'), {}, dialect);

describe('files without version in their names', () => {
  it.each([{ consistent_snapshot: false }, {}])('%j', (members) => {
    const raw = JSON.parse(repository.file('metadata/1.root.json').toString());
    const { consistent_snapshot: _, ...rest } = raw.signed;
    const bytes = signed({ ...rest, ...members }, repository.keys.root);
    expect(TrustedSet.start(bytes, {}, TUF).root.consistentSnapshot).toBe(false);
    expectRefusal('METADATA_MALFORMED', () => TrustedSet.start(bytes));
  });
});

describe('kinds of keys', () => {
  it.each([
    ['rsassa-pss-sha256', constants.RSA_PKCS1_PSS_PADDING, 2048, true],
    ['rsa-pkcs1v15-sha256', constants.RSA_PKCS1_PADDING, 2048, true],
    ['rsassa-pss-sha256 of too few bits', constants.RSA_PKCS1_PSS_PADDING, 1024, false],
  ] as const)('%s', (name, padding, modulusLength, counts) => {
    const key = rsaKey(name.split(' ')[0]!, padding, modulusLength);
    repository.keys.root = [testKey(), key];
    const bytes = repository.publishRoot(repository.keys.root);
    if (counts) expect(TrustedSet.start(bytes, {}, TUF).root.version).toBe(1);
    else expectRefusal('METADATA_UNSIGNED', () => TrustedSet.start(bytes, {}, TUF));
    expectRefusal('METADATA_UNSIGNED', () => TrustedSet.start(bytes, {}, TIDEGATE));
  });

  function rsaKey(scheme: string, padding: number, modulusLength: number): TestKey {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength });
    const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString();
    const tuf = { keytype: 'rsa', scheme, keyval: { public: pem } };
    const id = keyIdOf(tuf);
    return {
      privateKey,
      pem,
      tuf,
      id,
      hint: id,
      sign: (message) => sign('sha256', message, { key: privateKey, padding }),
    };
  }
});

describe('what targets say', () => {
  it.each([
    ['a SHA-512 alone', { hashes: { sha512: '0'.repeat(128) } }],
    ['a hash that nobody knows', { hashes: { 'hash-of-2050': 'abc' } }],
  ])('%s', (_, change) => {
    const [path = ''] = Object.keys(repository.productTargets);
    Object.assign(repository.productTargets[path]!, change);
    repository.bump('product');
    expect(walkTo(start(TUF)).targets.has(path)).toBe(true);
    expectRefusal('METADATA_MALFORMED', () => walkTo(start(TIDEGATE)));
  });

  it('a role name with a slash, as any client reads it', () => {
    repository.otherRoles['some/role.json'] = { version: 1 };
    repository.bump('product');
    expect(walkTo(start(TUF)).version).toBe(2);
    expectRefusal('METADATA_MALFORMED', () => walkTo(start(TIDEGATE)));
  });

  function walkTo(set: TrustedSet) {
    set.updateTimestamp(repository.file('metadata/timestamp.json'), NOW);
    set.updateSnapshot(repository.file('metadata/2.snapshot.json'), NOW);
    set.updateTargets(repository.file('metadata/1.targets.json'), NOW);
    return set.updateProductRole(PRODUCT, repository.file(`metadata/2.${PRODUCT}.json`), NOW);
  }
});
