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

describe('targets and the product role', () => {
  it('refuses a role below its threshold', () => {
    repository.publishProduct([repository.keys.product[0]!]);
    expectRefusal('METADATA_UNSIGNED', () => walk(repository));
    repository.publishProduct();
    repository.publishTargets([repository.keys.targets[0]!]);
    expectRefusal('METADATA_UNSIGNED', () => walk(repository));
  });

  it('refuses a role signed twice by one key', () => {
    const twice = JSON.parse(repository.publishProduct([repository.keys.product[0]!]).toString());
    twice.signatures.push(twice.signatures[0]);
    repository.files.set(`metadata/1.${PRODUCT}.json`, Buffer.from(JSON.stringify(twice)));
    expectRefusal('METADATA_MALFORMED', () => walk(repository));
  });

  it('refuses a role of another version than the snapshot names, and one that it does not name', () => {
    repository.versions.product = 2;
    repository.publishProduct();
    expectRefusal('METADATA_MISMATCH', () => walk(repository));
    const set = start(repository);
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
    // Signed anew, the bytes are some shorter or longer: P-256 signatures are random.
    for (const meta of [{ length: bytes.length - 100 }, { hashes: { sha256: sha256(IMAGE) } }]) {
      repository.otherRoles['targets.json'] = { version: 1, ...meta };
      repository.bump();
      expectRefusal('METADATA_MISMATCH', () => walk(repository));
    }
    const right = { length: bytes.length, hashes: { sha256: sha256(bytes) } };
    repository.otherRoles['targets.json'] = { version: 1, ...right };
    // Signed anew, the bytes would differ: P-256 signatures are random.
    repository.versions.snapshot++;
    repository.publishSnapshot();
    repository.publishTimestamp();
    repository.files.set('metadata/1.targets.json', bytes);
    expect(walk(repository).targets.version).toBe(1);
  });

  it.each(['root', 'timestamp', 'snapshot', 'targets', 'product'] as const)(
    'sees an expired %s when the set is used again',
    (role) => {
      Object.assign(repository.expires, { root: 9, timestamp: 9, snapshot: 9, targets: 9, product: 9 });
      repository.expires[role] = 1;
      repository.publish();
      const set = walk(repository);
      set.refuseExpired(NOW + DAY - 1);
      expectRefusal('METADATA_EXPIRED', () => set.refuseExpired(NOW + DAY));
    },
  );

  it('refuses expired targets and an expired product role', () => {
    repository.expires.targets = -1;
    repository.publishTargets();
    expectRefusal('METADATA_EXPIRED', () => walk(repository));
    repository.expires.targets = 90;
    repository.expires.product = -1;
    repository.publishBelowRoot();
    expectRefusal('METADATA_EXPIRED', () => walk(repository));
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
    expectRefusal('DELEGATION_INVALID', () => walk(repository));
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
    const set = walk(repository);
    for (const path of Object.keys(repository.productTargets).filter((path) => path !== IMAGE_PATH)) {
      expectRefusal('TARGET_UNKNOWN', () => set.productTarget(PRODUCT, path));
    }
    expectRefusal('TARGET_UNKNOWN', () => set.productTarget(PRODUCT, 'constructor'));
  });

  it('takes trust/* from top-level targets, and nothing else from there', () => {
    repository.topTargets.set(IMAGE_PATH, IMAGE);
    repository.topTargets.set('trust/policy.json', Buffer.from('the real one'));
    repository.bump('targets');
    const set = walk(repository);
    expect(set.topTarget('trust/policy.json').sha256).toBe(sha256(Buffer.from('the real one')));
    expectRefusal('TARGET_UNKNOWN', () => set.topTarget(IMAGE_PATH));
    expectRefusal('TARGET_UNKNOWN', () => set.topTarget('trust/other.json'));
  });

  it('refuses a malformed custom without refusing its neighbours', () => {
    repository.productTargets[`${PRODUCT}/bad.raucb`] = {
      length: 1,
      hashes: { sha256: sha256(IMAGE) },
      custom: { ...custom(), surprise: 1 },
    };
    repository.bump('product');
    const set = walk(repository);
    expectRefusal('TARGET_MALFORMED', () => set.productTarget(PRODUCT, `${PRODUCT}/bad.raucb`));
    expect(set.productTarget(PRODUCT, IMAGE_PATH).length).toBe(IMAGE.length);
  });
});
