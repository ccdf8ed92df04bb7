import { beforeEach, describe, expect, it } from 'vitest';
import { custom, IMAGE } from './testing/releases.ts';
import { sha256 } from './testing/keys.ts';
import { expectRefusal } from './testing/refused.ts';
import { NOW, PRODUCT, signed, type TestRepository } from './testing/repository.ts';
import { IMAGE_PATH, published, start, walk } from './testing/walk.ts';

const DAY = 24 * 60 * 60 * 1000;
let repository: TestRepository;

beforeEach(() => {
  repository = published();
});

describe('the whole walk', () => {
  it('ends with the targets that the product role lists', () => {
    const target = walk(repository).productTarget(PRODUCT, IMAGE_PATH);
    expect(target).toMatchObject({ sha256: sha256(IMAGE), length: IMAGE.length, custom: custom() });
  });

  it('refuses to be walked out of order', () => {
    expect(() => start(repository).updateSnapshot(Buffer.from('{}'), NOW)).toThrow(TypeError);
    expect(() => start(repository).targets).toThrow(TypeError);
    const set = walk(repository);
    expect(() => set.updateRoot(repository.file('metadata/1.root.json'))).toThrow(TypeError);
  });

  it('takes 10,000 targets at a cost that grows with their number, not its square', () => {
    for (let i = 0; i < 10_000; i++) {
      repository.productTargets[`${PRODUCT}/dc150-0.0.${i}.raucb`] = {
        length: 1000,
        hashes: { sha256: sha256(Buffer.from(String(i))) },
        custom: custom({ version: `0.0.${i}` }),
      };
    }
    repository.bump('product');
    expect(walk(repository).productRole(PRODUCT).targets.size).toBe(10_001);
  });
});

describe('timestamp and snapshot', () => {
  it('refuses a timestamp that is not signed by the timestamp key', () => {
    const forged = repository.publishTimestamp(repository.keys.snapshot);
    expectRefusal('METADATA_UNSIGNED', () => start(repository).updateTimestamp(forged, NOW));
  });

  it('refuses a timestamp at the moment it expires', () => {
    const bytes = repository.file('metadata/timestamp.json');
    start(repository).updateTimestamp(bytes, NOW + DAY - 1);
    expectRefusal('METADATA_EXPIRED', () => start(repository).updateTimestamp(bytes, NOW + DAY));
    expectRefusal('METADATA_EXPIRED', () => start(repository).updateTimestamp(bytes, NaN));
  });

  it('refuses a timestamp older than the one of an earlier run, expired or not', () => {
    const older = repository.file('metadata/timestamp.json');
    repository.versions.timestamp = 2;
    repository.expires.timestamp = -1;
    const set = start(repository);
    set.recallTimestamp(repository.publishTimestamp());
    expectRefusal('METADATA_ROLLBACK', () => set.updateTimestamp(older, NOW));
  });

  it('keeps the earlier timestamp at an equal version', () => {
    const set = start(repository);
    set.recallTimestamp(repository.file('metadata/timestamp.json'));
    set.updateTimestamp(repository.publishTimestamp(), NOW);
    expect(set.keptEarlierTimestamp).toBe(true);
  });

  it('refuses a newer timestamp that names an older snapshot', () => {
    repository.bump();
    const set = start(repository);
    set.recallTimestamp(repository.file('metadata/timestamp.json'));
    repository.versions.snapshot = 1;
    repository.versions.timestamp = 9;
    const bytes = repository.publishTimestamp();
    expectRefusal('METADATA_ROLLBACK', () => set.updateTimestamp(bytes, NOW));
  });

  it('refuses a snapshot that is not the one the timestamp names', () => {
    const set = start(repository);
    set.updateTimestamp(repository.file('metadata/timestamp.json'), NOW);
    repository.expires.snapshot = 8;
    expectRefusal('METADATA_MISMATCH', () => set.updateSnapshot(repository.publishSnapshot(), NOW));
  });

  it('refuses a snapshot of another version where the timestamp gives no digest', () => {
    const raw = JSON.parse(repository.file('metadata/timestamp.json').toString());
    raw.signed.meta['snapshot.json'] = { version: 2 };
    const set = start(repository);
    set.updateTimestamp(signed(raw.signed, repository.keys.timestamp), NOW);
    expectRefusal('METADATA_MISMATCH', () =>
      set.updateSnapshot(repository.file('metadata/1.snapshot.json'), NOW),
    );
  });

  it('refuses an unsigned and an expired snapshot', () => {
    repository.publishSnapshot(repository.keys.timestamp);
    repository.publishTimestamp();
    expectRefusal('METADATA_UNSIGNED', () => walk(repository));
    repository.expires.snapshot = -1;
    repository.publishSnapshot();
    repository.publishTimestamp();
    expectRefusal('METADATA_EXPIRED', () => walk(repository));
  });

  it('refuses a snapshot in which any role falls or disappears', () => {
    repository.otherRoles['acme.ac22.json'] = { version: 5 };
    repository.bump();
    const earlier = repository.file('metadata/2.snapshot.json');
    for (const other of [{ 'acme.ac22.json': { version: 4 } }, {}]) {
      delete repository.otherRoles['acme.ac22.json'];
      Object.assign(repository.otherRoles, other);
      repository.bump();
      const set = start(repository);
      set.recallSnapshot(earlier);
      expectRefusal('METADATA_ROLLBACK', () => walk(repository, set));
    }
  });
});
