import { beforeEach, describe, expect, it } from 'vitest';
import { keyIdOf, keySetHash, type TufKey } from './keys.ts';
import { MAX_BYTES } from './metadata.ts';
import { custom } from './testing/releases.ts';
import { sha256, testKey } from './testing/keys.ts';
import { expectRefusal } from './testing/refused.ts';
import { inDays, NOW, PRODUCT, signed, TestRepository } from './testing/repository.ts';
import { TrustedSet } from './trusted-set.ts';
import type { Marks } from './marks.ts';

const DAY = 24 * 60 * 60 * 1000;
const IMAGE_PATH = `${PRODUCT}/dc150-1.2.0.raucb`;
const image = Buffer.from('an image');

let repository: TestRepository;

beforeEach(() => {
  repository = new TestRepository();
  repository.productTargets = {
    [IMAGE_PATH]: { length: image.length, hashes: { sha256: sha256(image) }, custom: custom() },
  };
  repository.publish();
});

function start(marks?: Marks): TrustedSet {
  return TrustedSet.start(repository.file('metadata/1.root.json'), marks);
}

/** Walks everything that the repository has now. */
function walk(set = start(), now = NOW): TrustedSet {
  for (let n = set.root.version + 1; n <= repository.versions.root; n++) {
    set.updateRoot(repository.file(`metadata/${n}.root.json`));
  }
  set.updateTimestamp(repository.file('metadata/timestamp.json'), now);
  set.updateSnapshot(repository.file(`metadata/${repository.versions.snapshot}.snapshot.json`), now);
  set.updateTargets(repository.file(`metadata/${repository.versions.targets}.targets.json`), now);
  set.updateProductRole(
    PRODUCT,
    repository.file(`metadata/${repository.versions.product}.${PRODUCT}.json`),
    now,
  );
  return set;
}

describe('the whole walk', () => {
  it('ends with the targets that the product role lists', () => {
    const target = walk().productTarget(PRODUCT, IMAGE_PATH);
    expect(target).toMatchObject({ sha256: sha256(image), length: image.length, custom: custom() });
  });

  it('refuses to be walked out of order', () => {
    expect(() => start().updateSnapshot(Buffer.from('{}'), NOW)).toThrow(TypeError);
    expect(() => start().targets).toThrow(TypeError);
    const set = walk();
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
    expect(walk().productRole(PRODUCT).targets.size).toBe(10_001);
  });
});

describe('root', () => {
  it('rotates to keys that the old quorum and the new one sign', () => {
    const [a, b] = repository.keys.root;
    repository.keys.root = [testKey(), testKey(), testKey()];
    repository.versions.root = 2;
    repository.publishRoot([a!, b!, ...repository.keys.root.slice(0, 2)]);
    expect(walk().root.version).toBe(2);
  });

  it('refuses a new root without the old quorum, and without the new', () => {
    const old = repository.keys.root;
    repository.keys.root = [testKey(), testKey(), testKey()];
    repository.versions.root = 2;
    const set = start();
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
    expectRefusal('ROOT_VERSION', () => start().updateRoot(skipped));
    expectRefusal('ROOT_VERSION', () => start().updateRoot(repository.file('metadata/1.root.json')));
  });

  it('may have expired when it is provisioned, but not when it is used', () => {
    repository.expires.root = -1;
    repository.publishRoot();
    const set = start();
    expectRefusal('METADATA_EXPIRED', () => walk(set));
    repository.expires.root = 90;
    repository.versions.root = 2;
    repository.publishRoot();
    expect(walk(set).root.version).toBe(2);
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

describe('timestamp and snapshot', () => {
  it('refuses a timestamp that is not signed by the timestamp key', () => {
    const forged = repository.publishTimestamp(repository.keys.snapshot);
    expectRefusal('METADATA_UNSIGNED', () => start().updateTimestamp(forged, NOW));
  });

  it('refuses a timestamp at the moment it expires', () => {
    const bytes = repository.file('metadata/timestamp.json');
    start().updateTimestamp(bytes, NOW + DAY - 1);
    expectRefusal('METADATA_EXPIRED', () => start().updateTimestamp(bytes, NOW + DAY));
    expectRefusal('METADATA_EXPIRED', () => start().updateTimestamp(bytes, NaN));
  });

  it('refuses a timestamp older than the one of an earlier run, expired or not', () => {
    const older = repository.file('metadata/timestamp.json');
    repository.versions.timestamp = 2;
    repository.expires.timestamp = -1;
    const set = start();
    set.recallTimestamp(repository.publishTimestamp());
    expectRefusal('METADATA_ROLLBACK', () => set.updateTimestamp(older, NOW));
  });

  it('keeps the earlier timestamp at an equal version', () => {
    const set = start();
    set.recallTimestamp(repository.file('metadata/timestamp.json'));
    set.updateTimestamp(repository.publishTimestamp(), NOW);
    expect(set.keptEarlierTimestamp).toBe(true);
  });

  it('refuses a newer timestamp that names an older snapshot', () => {
    repository.bump();
    const set = start();
    set.recallTimestamp(repository.file('metadata/timestamp.json'));
    repository.versions.snapshot = 1;
    repository.versions.timestamp = 9;
    const bytes = repository.publishTimestamp();
    expectRefusal('METADATA_ROLLBACK', () => set.updateTimestamp(bytes, NOW));
  });

  it('refuses a snapshot that is not the one the timestamp names', () => {
    const set = start();
    set.updateTimestamp(repository.file('metadata/timestamp.json'), NOW);
    repository.expires.snapshot = 8;
    expectRefusal('METADATA_MISMATCH', () => set.updateSnapshot(repository.publishSnapshot(), NOW));
  });

  it('refuses a snapshot of another version where the timestamp gives no digest', () => {
    const raw = JSON.parse(repository.file('metadata/timestamp.json').toString());
    raw.signed.meta['snapshot.json'] = { version: 2 };
    const set = start();
    set.updateTimestamp(signed(raw.signed, repository.keys.timestamp), NOW);
    expectRefusal('METADATA_MISMATCH', () =>
      set.updateSnapshot(repository.file('metadata/1.snapshot.json'), NOW),
    );
  });

  it('refuses an unsigned and an expired snapshot', () => {
    repository.publishSnapshot(repository.keys.timestamp);
    repository.publishTimestamp();
    expectRefusal('METADATA_UNSIGNED', () => walk());
    repository.expires.snapshot = -1;
    repository.publishSnapshot();
    repository.publishTimestamp();
    expectRefusal('METADATA_EXPIRED', () => walk());
  });

  it('refuses a snapshot in which any role falls or disappears', () => {
    repository.otherRoles['acme.ac22.json'] = { version: 5 };
    repository.bump();
    const earlier = repository.file('metadata/2.snapshot.json');
    for (const other of [{ 'acme.ac22.json': { version: 4 } }, {}]) {
      delete repository.otherRoles['acme.ac22.json'];
      Object.assign(repository.otherRoles, other);
      repository.bump();
      const set = start();
      set.recallSnapshot(earlier);
      expectRefusal('METADATA_ROLLBACK', () => walk(set));
    }
  });
});

describe('targets and the product role', () => {
  it('refuses a role below its threshold', () => {
    repository.publishProduct([repository.keys.product[0]!]);
    expectRefusal('METADATA_UNSIGNED', () => walk());
    repository.publishProduct();
    repository.publishTargets([repository.keys.targets[0]!]);
    expectRefusal('METADATA_UNSIGNED', () => walk());
  });

  it('refuses a role signed twice by one key', () => {
    const twice = JSON.parse(repository.publishProduct([repository.keys.product[0]!]).toString());
    twice.signatures.push(twice.signatures[0]);
    repository.files.set(`metadata/1.${PRODUCT}.json`, Buffer.from(JSON.stringify(twice)));
    expectRefusal('METADATA_MALFORMED', () => walk());
  });

  it('refuses a role of another version than the snapshot names, and one that it does not name', () => {
    repository.versions.product = 2;
    repository.publishProduct();
    expectRefusal('METADATA_MISMATCH', () => walk());
    const set = start();
    const raw = JSON.parse(repository.file('metadata/1.snapshot.json').toString());
    delete raw.signed.meta['targets.json'];
    const snapshot = signed(raw.signed, repository.keys.snapshot);
    repository.files.set('metadata/1.snapshot.json', snapshot);
    repository.publishTimestamp();
    set.updateTimestamp(repository.file('metadata/timestamp.json'), NOW);
    set.updateSnapshot(snapshot, NOW);
    expectRefusal('METADATA_MISMATCH', () =>
      set.updateTargets(repository.file('metadata/1.targets.json'), NOW),
    );
  });

  it('refuses a role that is not the bytes that the snapshot names', () => {
    const bytes = repository.file('metadata/1.targets.json');
    for (const meta of [{ length: bytes.length - 1 }, { hashes: { sha256: sha256(image) } }]) {
      repository.otherRoles['targets.json'] = { version: 1, ...meta };
      repository.bump();
      expectRefusal('METADATA_MISMATCH', () => walk());
    }
    const right = { length: bytes.length, hashes: { sha256: sha256(bytes) } };
    repository.otherRoles['targets.json'] = { version: 1, ...right };
    // Signed anew, the bytes would differ: P-256 signatures are random.
    repository.versions.snapshot++;
    repository.publishSnapshot();
    repository.publishTimestamp();
    repository.files.set('metadata/1.targets.json', bytes);
    expect(walk().targets.version).toBe(1);
  });

  it.each(['root', 'timestamp', 'snapshot', 'targets', 'product'] as const)(
    'sees an expired %s when the set is used again',
    (role) => {
      Object.assign(repository.expires, { root: 9, timestamp: 9, snapshot: 9, targets: 9, product: 9 });
      repository.expires[role] = 1;
      repository.publish();
      const set = walk();
      set.refuseExpired(NOW + DAY - 1);
      expectRefusal('METADATA_EXPIRED', () => set.refuseExpired(NOW + DAY));
    },
  );

  it('refuses expired targets and an expired product role', () => {
    repository.expires.targets = -1;
    repository.publishTargets();
    expectRefusal('METADATA_EXPIRED', () => walk());
    repository.expires.targets = 90;
    repository.expires.product = -1;
    repository.publishBelowRoot();
    expectRefusal('METADATA_EXPIRED', () => walk());
  });

  it.each<[string, TestRepository['tamper']]>([
    ['under another name', { targets: (raw) => (raw.delegations!.roles[0]!.name = 'acme.other') }],
    ['over more paths', { targets: (raw) => raw.delegations!.roles[0]!.paths.push('acme.other/*') }],
    ['over everything', { targets: (raw) => (raw.delegations!.roles[0]!.paths = ['*']) }],
    ['without terminating', { targets: (raw) => (raw.delegations!.roles[0]!.terminating = false) }],
    ['twice', { targets: (raw) => raw.delegations!.roles.push(raw.delegations!.roles[0]!) }],
    ['not at all', { targets: (raw) => delete raw.delegations }],
    ['and it delegates further', { product: (raw) => (raw.delegations = furtherDelegation()) }],
  ])('refuses a product delegated %s', (_, tamper) => {
    repository.tamper = tamper;
    repository.publishBelowRoot();
    expectRefusal('DELEGATION_INVALID', () => walk());
  });

  function furtherDelegation() {
    const [key] = repository.keys.product;
    const role = { name: 'deeper', keyids: [key!.id], threshold: 1, paths: ['*'], terminating: true };
    return { keys: { [key!.id]: key!.tuf }, roles: [role] };
  }

  it('knows only what lies directly below the product', () => {
    const entry = repository.productTargets[IMAGE_PATH]!;
    Object.assign(repository.productTargets, {
      'acme.other/dc150-1.2.0.raucb': entry,
      [`${PRODUCT}/deeper/dc150.raucb`]: entry,
      'trust/policy.json': entry,
    });
    repository.bump('product');
    const set = walk();
    for (const path of Object.keys(repository.productTargets).filter((path) => path !== IMAGE_PATH)) {
      expectRefusal('TARGET_UNKNOWN', () => set.productTarget(PRODUCT, path));
    }
    expectRefusal('TARGET_UNKNOWN', () => set.productTarget(PRODUCT, 'constructor'));
  });

  it('takes trust/* from top-level targets, and nothing else from there', () => {
    repository.topTargets.set(IMAGE_PATH, image);
    repository.topTargets.set('trust/policy.json', Buffer.from('the real one'));
    repository.bump('targets');
    const set = walk();
    expect(set.topTarget('trust/policy.json').sha256).toBe(sha256(Buffer.from('the real one')));
    expectRefusal('TARGET_UNKNOWN', () => set.topTarget(IMAGE_PATH));
    expectRefusal('TARGET_UNKNOWN', () => set.topTarget('trust/other.json'));
  });

  it('refuses a malformed custom without refusing its neighbours', () => {
    repository.productTargets[`${PRODUCT}/bad.raucb`] = {
      length: 1,
      hashes: { sha256: sha256(image) },
      custom: { ...custom(), surprise: 1 },
    };
    repository.bump('product');
    const set = walk();
    expectRefusal('TARGET_MALFORMED', () => set.productTarget(PRODUCT, `${PRODUCT}/bad.raucb`));
    expect(set.productTarget(PRODUCT, IMAGE_PATH).length).toBe(image.length);
  });
});

describe('high-water marks', () => {
  it('hold every role after the cache is gone', () => {
    const { files } = repository;
    const old = new Map(files);
    repository.bump('targets', 'product');
    const marks = walk().marks();
    expect(Object.keys(marks).sort()).toEqual([PRODUCT, 'root', 'snapshot', 'targets', 'timestamp']);

    expectRefusal('METADATA_ROLLBACK', () =>
      start(marks).updateTimestamp(old.get('metadata/timestamp.json')!, NOW),
    );
    for (const role of ['targets', 'product'] as const) {
      repository.versions[role] = 1;
      repository.bump();
      expectRefusal('METADATA_ROLLBACK', () => walk(start(marks)));
      repository.versions[role] = 2;
    }
    repository.versions.snapshot = 1;
    repository.versions.timestamp = 50;
    repository.publishBelowRoot();
    expectRefusal('METADATA_ROLLBACK', () => walk(start(marks)));
  });

  it('hold the root, so that newer roots cannot be withheld', () => {
    const marks = { ...walk().marks(), root: { version: 2, keys: keySetHash([]) } };
    expectRefusal('METADATA_ROLLBACK', () => walk(start(marks)));
  });

  it('fall when the role gets other keys: recovery from a fast-forward attack', () => {
    repository.versions.timestamp = Number.MAX_SAFE_INTEGER;
    repository.publishTimestamp();
    const attacked = walk();
    repository.versions.root = 2;
    repository.versions.timestamp = 2;
    repository.keys.timestamp = [testKey()];
    repository.publishRoot();
    repository.publishTimestamp();
    expect(walk(start(attacked.marks())).timestamp.version).toBe(2);
  });

  it('fall for the product role as well when top-level targets give it other keys', () => {
    repository.versions.product = Number.MAX_SAFE_INTEGER;
    repository.publishBelowRoot();
    const marks = walk().marks();
    repository.versions.product = 2;
    repository.keys.product = [testKey(), testKey()];
    repository.bump('targets');
    expect(walk(start(marks)).productRole(PRODUCT).version).toBe(2);
  });

  it('leave out an earlier timestamp once its keys changed, even if one of them is still there', () => {
    repository.versions.timestamp = 1_000_000;
    const fast = repository.publishTimestamp();
    const marks = walk().marks();
    repository.versions.root = 2;
    repository.versions.timestamp = 2;
    repository.keys.timestamp = [...repository.keys.timestamp, testKey()];
    repository.publishRoot();
    repository.publishTimestamp();
    const set = start(marks);
    set.updateRoot(repository.file('metadata/2.root.json'));
    set.recallTimestamp(fast);
    expect(walk(set).timestamp.version).toBe(2);
  });
});

describe('bounds', () => {
  it('refuses files above the limit of their role before reading them', () => {
    const huge = Buffer.alloc(MAX_BYTES.timestamp + 1, 0x20);
    expectRefusal('METADATA_TOO_LARGE', () => start().updateTimestamp(huge, NOW));
  });

  it.each([
    ['a version that is no safe integer', { version: 2 ** 53 }],
    ['version 0', { version: 0 }],
    ['a fraction', { version: 1.5 }],
    ['expiry with milliseconds', { expires: '2026-12-01T00:00:00.000Z' }],
    ['expiry on a day that does not exist', { expires: '2027-02-31T00:00:00Z' }],
    ['another role', { _type: 'snapshot' }],
    ['another major version of the format', { spec_version: '2.0.0' }],
    ['no meta', { meta: {} }],
    [
      'meta only through the prototype',
      { meta: JSON.parse('{"__proto__":{"snapshot.json":{"version":1}}}') },
    ],
    ['a value without canonical form', { extra: 0.5 }],
  ])('refuses %s', (_, change) => {
    const good = JSON.parse(repository.file('metadata/timestamp.json').toString());
    const bytes = Buffer.from(JSON.stringify({ ...good, signed: { ...good.signed, ...change } }));
    expectRefusal('METADATA_MALFORMED', () => start().updateTimestamp(bytes, NOW));
  });

  it('refuses nesting that would exhaust the stack', () => {
    const deep = `${'['.repeat(7000)}${']'.repeat(7000)}`;
    const bytes = Buffer.from(
      `{"signed":{"_type":"timestamp","spec_version":"1.0.34","version":1,"expires":"${inDays(1)}","meta":{"snapshot.json":{"version":1}},"x":${deep}},"signatures":[]}`,
    );
    expect(() => start().updateTimestamp(bytes, NOW)).toThrow(expect.objectContaining({ name: 'Refusal' }));
  });
});
