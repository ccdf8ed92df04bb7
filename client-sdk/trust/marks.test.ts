import { beforeEach, describe, expect, it } from 'vitest';
import { keySetHash } from './keys.ts';
import { marksFromBytes, marksToBytes } from './marks.ts';
import { testKey } from './testing/keys.ts';
import { expectRefusal } from './testing/refused.ts';
import { NOW, PRODUCT, type TestRepository } from './testing/repository.ts';
import { published, start, walk } from './testing/walk.ts';

let repository: TestRepository;

beforeEach(() => {
  repository = published();
});

describe('high-water marks', () => {
  it('hold every role after the cache is gone', () => {
    const { files } = repository;
    const old = new Map(files);
    repository.bump('targets', 'product');
    const marks = walk(repository).marks();
    expect(Object.keys(marks).sort()).toEqual([PRODUCT, 'root', 'snapshot', 'targets', 'timestamp']);

    expectRefusal('METADATA_ROLLBACK', () =>
      start(repository, marks).updateTimestamp(old.get('metadata/timestamp.json')!, NOW),
    );
    for (const role of ['targets', 'product'] as const) {
      repository.versions[role] = 1;
      repository.bump();
      expectRefusal('METADATA_ROLLBACK', () => walk(repository, start(repository, marks)));
      repository.versions[role] = 2;
    }
    repository.versions.snapshot = 1;
    repository.versions.timestamp = 50;
    repository.publishBelowRoot();
    expectRefusal('METADATA_ROLLBACK', () => walk(repository, start(repository, marks)));
  });

  it('hold the root, so that newer roots cannot be withheld', () => {
    const marks = { ...walk(repository).marks(), root: { version: 2, keys: keySetHash([]) } };
    expectRefusal('METADATA_ROLLBACK', () => walk(repository, start(repository, marks)));
  });

  it('fall when the role gets other keys: recovery from a fast-forward attack', () => {
    repository.versions.timestamp = Number.MAX_SAFE_INTEGER;
    repository.publishTimestamp();
    const attacked = walk(repository);
    repository.versions.root = 2;
    repository.versions.timestamp = 2;
    repository.keys.timestamp = [testKey()];
    repository.publishRoot();
    repository.publishTimestamp();
    expect(walk(repository, start(repository, attacked.marks())).timestamp.version).toBe(2);
  });

  it('fall for the product role as well when top-level targets give it other keys', () => {
    repository.versions.product = Number.MAX_SAFE_INTEGER;
    repository.publishBelowRoot();
    const marks = walk(repository).marks();
    repository.versions.product = 2;
    repository.keys.product = [testKey(), testKey()];
    repository.bump('targets');
    expect(walk(repository, start(repository, marks)).productRole(PRODUCT).version).toBe(2);
  });

  it('leave out what an earlier run trusted once the snapshot role alone has other keys', () => {
    repository.versions.snapshot = 1_000_000;
    repository.publishBelowRoot();
    const marks = walk(repository).marks();
    const fast = {
      timestamp: repository.file('metadata/timestamp.json'),
      snapshot: repository.file('metadata/1000000.snapshot.json'),
    };
    repository.versions = { ...repository.versions, root: 2, snapshot: 2, timestamp: 2 };
    repository.keys.snapshot = [testKey()];
    repository.publishRoot();
    repository.publishBelowRoot();
    const set = start(repository, marks);
    set.updateRoot(repository.file('metadata/2.root.json'));
    set.recallTimestamp(fast.timestamp);
    expectRefusal('METADATA_UNSIGNED', () => set.recallSnapshot(fast.snapshot));
    expect(walk(repository, set).snapshot.version).toBe(2);
  });

  it('leave out an earlier timestamp once its keys changed, even if one of them is still there', () => {
    repository.versions.timestamp = 1_000_000;
    const fast = repository.publishTimestamp();
    const marks = walk(repository).marks();
    repository.versions.root = 2;
    repository.versions.timestamp = 2;
    repository.keys.timestamp = [...repository.keys.timestamp, testKey()];
    repository.publishRoot();
    repository.publishTimestamp();
    const set = start(repository, marks);
    set.updateRoot(repository.file('metadata/2.root.json'));
    set.recallTimestamp(fast);
    expect(walk(repository, set).timestamp.version).toBe(2);
  });
});

describe('marks on the disk', () => {
  it('are believed whole or not at all, wherever a character rotted', () => {
    const marks = walk(repository).marks();
    const bytes = marksToBytes(marks);
    expect(marksFromBytes(bytes)).toEqual(marks);
    for (let i = 0; i < bytes.length; i++) {
      const rotten = Buffer.from(bytes);
      // Another digit, letter or sign of the same kind, so that most of it still parses.
      rotten[i] = (rotten[i] ?? 0) ^ 1;
      expect(marksFromBytes(rotten), `at ${i}`).toBeUndefined();
    }
    for (let cut = 0; cut < bytes.length; cut++) {
      expect(marksFromBytes(bytes.subarray(0, cut))).toBeUndefined();
    }
  });
});
