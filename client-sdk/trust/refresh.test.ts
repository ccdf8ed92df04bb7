import { beforeEach, describe, expect, it } from 'vitest';
import type { MetadataFetch } from './refresh.ts';
import { refreshTrust } from './refresh.ts';
import { testKey } from './testing/keys.ts';
import { memoryFiles, PowerCut, type MemoryFiles } from './testing/memory-files.ts';
import { expectRejection } from './testing/refused.ts';
import { custom, policy } from './testing/releases.ts';
import { NOW, PRODUCT, TestRepository } from './testing/repository.ts';

const DAY = 24 * 60 * 60 * 1000;
const trusted = policy(testKey(), testKey());

let repository: TestRepository;
let provisioned: Buffer;
let files: MemoryFiles;
let asked: string[];

beforeEach(() => {
  repository = new TestRepository();
  repository.topTargets.set('trust/policy.json', Buffer.from(JSON.stringify(trusted)));
  repository.productTargets = {
    [`${PRODUCT}/a.raucb`]: { length: 1, hashes: { sha256: '0'.repeat(64) }, custom: custom() },
  };
  repository.publish();
  provisioned = repository.file('metadata/1.root.json');
  files = memoryFiles();
  asked = [];
});

const fetch: MetadataFetch = async (path) => {
  asked.push(path);
  return repository.files.get(path);
};

function refresh(changes: Partial<Parameters<typeof refreshTrust>[0]> = {}) {
  const provisioning = { root: provisioned, product: PRODUCT };
  return refreshTrust({ files, fetch, now: NOW, provisioning, ...changes });
}

function hint() {
  return {
    timestamp: repository.file('metadata/timestamp.json').toString(),
    rootVersion: repository.versions.root,
  };
}

function loseCache(): void {
  for (const path of files.contents.keys()) if (path.startsWith('tuf/')) files.contents.delete(path);
}

describe('a refresh', () => {
  it('fetches everything once, each under its consistent name', async () => {
    const { set, policy, sigstoreRoot, productTargets } = await refresh();
    expect(policy).toMatchObject(trusted);
    expect(Buffer.from(sigstoreRoot).toString()).toBe('{}');
    expect(productTargets).toBe(set.productRole(PRODUCT));
    expect(asked).toEqual([
      'metadata/2.root.json',
      'metadata/timestamp.json',
      'metadata/1.snapshot.json',
      'metadata/1.targets.json',
      `metadata/1.${PRODUCT}.json`,
      expect.stringMatching(/^targets\/trust\/[0-9a-f]{64}\.policy\.json$/),
      expect.stringMatching(/^targets\/trust\/[0-9a-f]{64}\.sigstore_root\.json$/),
    ]);
  });

  it('fetches nothing with a hint when nothing is new', async () => {
    await refresh();
    asked = [];
    const changes = files.changes;
    await refresh({ hint: hint() });
    expect(asked).toEqual([]);
    expect(files.changes).toBe(changes);
  });

  it('does not even verify again what it holds in memory, but sees it expire', async () => {
    const previous = await refresh();
    expect(await refresh({ hint: hint(), previous })).toBe(previous);
    await expectRejection('METADATA_EXPIRED', refresh({ hint: hint(), previous, now: NOW + DAY }));
    repository.bump();
    expect(await refresh({ hint: hint(), previous })).not.toBe(previous);
  });

  it('fetches only what a change touches', async () => {
    await refresh();
    repository.bump('product');
    asked = [];
    await refresh({ hint: hint() });
    expect(asked).toEqual(['metadata/2.snapshot.json', `metadata/2.${PRODUCT}.json`]);
  });

  it('walks every root from the provisioned one, and keeps them', async () => {
    for (let version = 2; version <= 5; version++) {
      const [a, b] = repository.keys.root;
      repository.keys.root = [testKey(), testKey(), testKey()];
      repository.versions.root = version;
      repository.publishRoot([a!, b!, ...repository.keys.root.slice(0, 2)]);
    }
    expect((await refresh({ hint: hint() })).set.root.version).toBe(5);
    asked = [];
    expect((await refresh({ hint: hint() })).set.root.version).toBe(5);
    expect(asked).toEqual([]);
  });

  it('refuses a file that its parent names and that is not there, or is another', async () => {
    const snapshot = repository.file('metadata/1.snapshot.json');
    repository.files.delete('metadata/1.snapshot.json');
    await expectRejection('METADATA_MISMATCH', refresh());
    repository.files.set('metadata/1.snapshot.json', snapshot);
    const [path] = [...repository.files.keys()].filter((name) => name.endsWith('.policy.json'));
    repository.files.set(path!, Buffer.from('{}'));
    await expectRejection('METADATA_MISMATCH', refresh());
  });

  it('does not ask for a policy above its limit, whoever signed it', async () => {
    repository.topTargets.set('trust/policy.json', Buffer.alloc(300 * 1024, 0x20));
    repository.bump('targets');
    await expectRejection('METADATA_TOO_LARGE', refresh());
    expect(asked.filter((path) => path.includes('policy'))).toEqual([]);
  });

  it('refuses answers above the limit', async () => {
    repository.files.set('metadata/timestamp.json', Buffer.alloc(17 * 1024, 0x20));
    await expectRejection('METADATA_TOO_LARGE', refresh());
  });

  it('refuses a repository without a policy', async () => {
    repository.topTargets.delete('trust/policy.json');
    repository.bump('targets');
    await expectRejection('TARGET_UNKNOWN', refresh());
    repository.topTargets.set('trust/policy.json', Buffer.from('{}'));
    repository.bump('targets');
    await expectRejection('POLICY_MALFORMED', refresh());
  });
});

describe('older metadata', () => {
  let old: TestRepository['files'];

  beforeEach(async () => {
    old = new Map(repository.files);
    repository.bump('targets', 'product');
    await refresh();
  });

  function replay(): void {
    for (const [path, bytes] of old) repository.files.set(path, bytes);
  }

  it('is refused from the cache', async () => {
    replay();
    files.contents.delete('trust/marks.json');
    await expectRejection('METADATA_ROLLBACK', refresh());
  });

  it('is refused when the cache is gone, and when it is torn', async () => {
    replay();
    for (const [path, bytes] of files.contents) {
      if (path.startsWith('tuf/')) files.contents.set(path, bytes.subarray(0, bytes.length / 2));
    }
    await expectRejection('METADATA_ROLLBACK', refresh());
    loseCache();
    await expectRejection('METADATA_ROLLBACK', refresh());
  });

  it('is refused when newer roots are withheld', async () => {
    const [a, b] = repository.keys.root;
    repository.versions.root = 2;
    repository.publishRoot([a!, b!]);
    await refresh();
    loseCache();
    repository.files.delete('metadata/2.root.json');
    await expectRejection('METADATA_ROLLBACK', refresh());
  });
});

describe('torn state', () => {
  it('never stops the updater: any file may be torn or strange', async () => {
    await refresh();
    const whole = new Map(files.contents);
    for (const path of whole.keys()) {
      for (const bytes of ['', '{', '{"signed":', '\u0000'.repeat(64)]) {
        files.contents.clear();
        for (const [name, content] of whole) files.contents.set(name, content);
        files.contents.set(path, Buffer.from(bytes));
        expect((await refresh()).policy.version).toBe(1);
      }
    }
  });

  it('does not lock the charger out when a mark rots: what the cache proves still measures', async () => {
    const old = new Map(repository.files);
    repository.bump('targets', 'product');
    await refresh();
    const marks = files.contents.get('trust/marks.json')?.toString() ?? '';
    files.contents.set('trust/marks.json', Buffer.from(marks.replaceAll('"version":2', '"version":9')));
    expect((await refresh()).set.timestamp.version).toBe(2);
    files.contents.set('trust/marks.json', Buffer.from(marks.replaceAll('"version":2', '"version":1')));
    for (const [path, bytes] of old) repository.files.set(path, bytes);
    await expectRejection('METADATA_ROLLBACK', refresh());
  });

  it('of a stranger’s making is ignored, whatever versions it claims', async () => {
    const right = new Map(repository.files);
    repository.versions.timestamp = repository.versions.snapshot = 1_000_000;
    repository.otherRoles['acme.ac22.json'] = { version: 1_000_000 };
    await files.write('tuf/snapshot.json', repository.publishSnapshot([testKey()]));
    await files.write('tuf/timestamp.json', repository.publishTimestamp([testKey()]));
    for (const [path, bytes] of right) repository.files.set(path, bytes);
    expect((await refresh()).set.timestamp.version).toBe(1);
  });

  it('after a power cut at any write still refuses what was trusted before, and finishes later', async () => {
    await refresh();
    const before = new Map(files.contents);
    const old = new Map(repository.files);
    const oldVersions = { ...repository.versions };
    const [a, b] = repository.keys.root;
    repository.versions.root = 2;
    repository.publishRoot([a!, b!]);
    repository.bump('targets', 'product');
    const after = new Map(repository.files);
    const versions = { ...repository.versions };

    for (let cut = 0; ; cut++) {
      restore(files.contents, before);
      restore(repository.files, after);
      files.changesLeft = cut;
      const outcome = await refresh().catch((error: unknown) => error);
      files.changesLeft = Infinity;
      const marked = timestampMark();

      restore(repository.files, old);
      const replayed = refresh();
      if (marked > oldVersions.timestamp) await expectRejection('METADATA_ROLLBACK', replayed);
      else expect((await replayed).set.timestamp.version).toBe(oldVersions.timestamp);

      restore(repository.files, after);
      expect((await refresh()).set.timestamp.version).toBe(versions.timestamp);
      if (!(outcome instanceof PowerCut)) return;
      expect(cut).toBeLessThan(50);
    }
  });

  function restore(map: Map<string, Buffer>, to: ReadonlyMap<string, Buffer>): void {
    map.clear();
    for (const [path, bytes] of to) map.set(path, bytes);
  }

  function timestampMark(): number {
    const marks = files.contents.get('trust/marks.json');
    return JSON.parse(marks!.toString()).marks.timestamp.version as number;
  }
});
