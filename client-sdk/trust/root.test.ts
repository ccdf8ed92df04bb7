import { beforeEach, describe, expect, it } from 'vitest';
import { keyIdOf, type TufKey, verifyThreshold } from './keys.ts';
import { sha256, testKey } from './testing/keys.ts';
import { expectRefusal } from './testing/refused.ts';
import { signed, type TestRepository } from './testing/repository.ts';
import { published, start, walk } from './testing/walk.ts';
import { TrustedSet } from './trusted-set.ts';

let repository: TestRepository;

beforeEach(() => {
  repository = published();
});

describe('root', () => {
  it('rotates to keys that the old quorum and the new one sign', () => {
    const [a, b] = repository.keys.root;
    repository.keys.root = [testKey(), testKey(), testKey()];
    repository.versions.root = 2;
    repository.publishRoot([a!, b!, ...repository.keys.root.slice(0, 2)]);
    expect(walk(repository).root.version).toBe(2);
  });

  it('refuses a new root without the old quorum, and without the new', () => {
    const old = repository.keys.root;
    repository.keys.root = [testKey(), testKey(), testKey()];
    repository.versions.root = 2;
    const set = start(repository);
    expectRefusal('METADATA_UNSIGNED', () =>
      set.updateRoot(repository.publishRoot([old[0]!, ...repository.keys.root])),
    );
    expectRefusal('METADATA_UNSIGNED', () =>
      set.updateRoot(repository.publishRoot([...old, repository.keys.root[0]!])),
    );
  });

  it('refuses a version that is skipped or repeated', () => {
    repository.versions.root = 3;
    const skipped = repository.publishRoot();
    expectRefusal('ROOT_VERSION', () => start(repository).updateRoot(skipped));
    expectRefusal('ROOT_VERSION', () =>
      start(repository).updateRoot(repository.file('metadata/1.root.json')),
    );
  });

  it('may have expired when it is provisioned, but not when it is used', () => {
    repository.expires.root = -1;
    repository.publishRoot();
    const set = start(repository);
    expectRefusal('METADATA_EXPIRED', () => walk(repository, set));
    repository.expires.root = 90;
    repository.versions.root = 2;
    repository.publishRoot();
    expect(walk(repository, set).root.version).toBe(2);
  });

  it('counts no key of a kind that is not known here', () => {
    const future = testKey();
    for (const tuf of [
      { keytype: 'ml-dsa', scheme: 'ml-dsa-65', keyval: { public: '00' } },
      { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: 'no hex' } },
      { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: future.pem } },
      { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: 'no pem' } },
    ]) {
      const strange = { ...future, tuf, id: keyIdOf(tuf) };
      repository.keys.root = [testKey(), strange];
      const bytes = repository.publishRoot(repository.keys.root);
      expectRefusal('METADATA_UNSIGNED', () => TrustedSet.start(bytes));
    }
  });

  it('refuses a key under an id that is not its hash', () => {
    const raw = JSON.parse(repository.file('metadata/1.root.json').toString());
    const [id] = Object.keys(raw.signed.keys);
    raw.signed.keys['0'.repeat(64)] = raw.signed.keys[id!];
    expectRefusal('METADATA_MALFORMED', () => TrustedSet.start(signed(raw.signed, repository.keys.root)));
  });

  it('counts one public key once, under whatever ids it comes', () => {
    const one = testKey();
    const twin = aliasOf(one);
    repository.keys.root = [one, twin];
    repository.versions.root = 1;
    expectRefusal('METADATA_UNSIGNED', () => TrustedSet.start(repository.publishRoot([one, twin])));
  });

  it.each([0, -1, NaN])('takes a threshold of %d for one that nobody can meet', (threshold) => {
    const [one] = repository.keys.root;
    const envelope = JSON.parse(signed({ a: 1 }, [one!]).toString());
    const keys = new Map([[one!.id, one!.tuf]]);
    verifyThreshold(envelope, keys, [one!.id], 1);
    expectRefusal('METADATA_UNSIGNED', () => verifyThreshold(envelope, keys, [one!.id], threshold));
  });

  it('refuses a root of which some role needs nobody', () => {
    const raw = JSON.parse(repository.file('metadata/1.root.json').toString());
    raw.signed.roles.timestamp.threshold = 0;
    expectRefusal('METADATA_MALFORMED', () => TrustedSet.start(signed(raw.signed, repository.keys.root)));
  });

  it('refuses repositories without consistent snapshots', () => {
    const raw = JSON.parse(repository.file('metadata/1.root.json').toString());
    raw.signed.consistent_snapshot = false;
    expectRefusal('METADATA_MALFORMED', () => TrustedSet.start(signed(raw.signed, repository.keys.root)));
  });
});

/** The same public key with an unknown member: TUF hashes it into another id. */
function aliasOf(key: ReturnType<typeof testKey>) {
  const tuf: TufKey & { note: string } = { ...key.tuf, note: 'twin' };
  const id = sha256(
    Buffer.from(
      `{"keytype":"ed25519","keyval":{"public":"${tuf.keyval.public}"},"note":"twin","scheme":"ed25519"}`,
    ),
  );
  return { ...key, tuf, id };
}
