import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientUnderTest } from './testing/client.ts';
import { roleKey } from './testing/keys.ts';
import { Repository, TOP, type Envelope } from './testing/repository.ts';

let repository: Repository;
let client: ClientUnderTest;

beforeEach(async () => {
  repository = new Repository();
  client = await ClientUnderTest.start(repository);
});

afterEach(() => client.stop());

const initial = () => repository.published.get('root')![0]!;

describe('the first refresh', () => {
  it('asks for the next root, then for each role once, and keeps the very bytes', async () => {
    expect(await client.init(initial())).toBe(0);
    expect(await client.refresh()).toBe(0);
    expect(repository.metadataRequests).toEqual(['root@2', 'timestamp', 'snapshot@1', 'targets@1']);
    for (const role of TOP) expect(await client.trustedBytes(role)).toEqual(repository.latest(role));
  });

  it('happens before a download, even of what nobody lists', async () => {
    await client.init(initial());
    expect(await client.download('nobody lists this')).toBe(1);
    expect(repository.metadataRequests).toEqual(['root@2', 'timestamp', 'snapshot@1', 'targets@1']);
    expect(await client.trusted()).toEqual(['root 1', 'snapshot 1', 'targets 1', 'timestamp 1']);
  });

  it('asks for no version in a name where the root says that files have none', async () => {
    repository.root.consistent_snapshot = false;
    repository.delegate('targets', 'role/one', { paths: ['a/*'] });
    repository.addArtifact('role/one', 'a/b', 'content');
    repository.publish('role/one', 'targets', 'snapshot', 'timestamp', 'root');
    await client.init(initial());
    expect(await client.download('a/b')).toBe(0);
    expect(repository.metadataRequests).toEqual([
      'root@2',
      'root@3',
      'timestamp',
      'snapshot',
      'targets',
      'role/one',
    ]);
    expect(repository.artifactRequests).toEqual(['a/b']);
  });

  it('asks for the timestamp only, when nothing is new', async () => {
    await client.init(initial());
    await client.refresh();
    repository.metadataRequests.length = 0;
    expect(await client.refresh()).toBe(0);
    expect(repository.metadataRequests).toEqual(['root@2', 'timestamp']);
  });
});

describe('a bad initial root', () => {
  it.each([
    ['without a version', (raw) => delete raw.signed['version']],
    ['that its own keys did not sign', (raw) => (raw.signatures[0]!.sig = '3045'.padEnd(142, '0'))],
  ] satisfies [string, (raw: Envelope) => unknown][])('%s asks for nothing', async (_, change) => {
    repository.tamper('root', change);
    await client.init(repository.latest('root'));
    expect(await client.refresh()).toBe(1);
    expect(repository.metadataRequests).toEqual([]);
  });
});

it('takes no root with a key under an id that is not its hash', async () => {
  await client.init(initial());
  repository.root.keys['0'.repeat(64)] = roleKey().tuf;
  repository.publish('root');
  expect(await client.refresh()).toBe(1);
  expect(await client.trusted()).toEqual(['root 1']);
});

describe('a role that is not what its place says', () => {
  const before = {
    root: ['root 1'],
    timestamp: ['root 2'],
    snapshot: ['root 2', 'timestamp 2'],
    targets: ['root 2', 'snapshot 2', 'timestamp 2'],
  };

  it.each(TOP)('%s below its threshold ends the update there', async (role) => {
    repository.signers.get(role)?.pop();
    repository.publish('root', 'targets', 'snapshot', 'timestamp');
    await client.init(initial());
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toEqual(before[role]);
  });

  it.each(['root', 'snapshot', 'targets'] as const)('%s of another version than its name', async (role) => {
    if (role === 'root') repository.root.version++;
    else if (role === 'snapshot') repository.snapshot.version++;
    else repository.top.version++;
    repository.publish('root', 'targets', 'snapshot', 'timestamp');
    await client.init(initial());
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toEqual(before[role]);
  });

  it('a snapshot in the place of the timestamp, though the timestamp key signed it', async () => {
    repository.addKey('snapshot', repository.signers.get('timestamp')![0]!);
    repository.snapshot.meta = { 'snapshot.json': { version: 1 } };
    repository.publish('root', 'snapshot');
    repository.published.get('timestamp')!.push(repository.published.get('snapshot')!.pop()!);
    await client.init(initial());
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toEqual(['root 2']);
  });
});

describe('what a parent says of its child', () => {
  it('holds for hash and length', async () => {
    repository.hashes = true;
    repository.publish('targets', 'snapshot', 'timestamp');
    await client.init(initial());
    expect(await client.refresh()).toBe(0);

    repository.publish('targets');
    repository.snapshot.meta['targets.json']!.hashes!['sha256'] = '0'.repeat(64);
    repository.publish('snapshot', 'timestamp');
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toEqual(['root 1', 'snapshot 3', 'targets 2', 'timestamp 3']);
  });

  it.each([
    ['snapshot', () => repository.timestamp.meta['snapshot.json'].version++, ['timestamp']],
    ['targets', () => repository.snapshot.meta['targets.json']!.version++, ['snapshot', 'timestamp']],
  ] as const)(
    'a %s that is not there ends the update, and what came before stays',
    async (name, bump, roles) => {
      await client.init(initial());
      await client.refresh();
      bump();
      repository.publish(...roles);
      expect(await client.refresh()).toBe(1);
      expect(repository.metadataRequests.at(-1)).toBe(`${name}@2`);
      const version = (role: string) => ((roles as readonly string[]).includes(role) ? 2 : 1);
      expect(await client.trusted()).toEqual([
        'root 1',
        `snapshot ${version('snapshot')}`,
        'targets 1',
        `timestamp ${version('timestamp')}`,
      ]);
    },
  );

  it('no timestamp is no repository', async () => {
    await client.init(initial());
    await client.refresh();
    repository.published.delete('timestamp');
    expect(await client.refresh()).toBe(1);
    expect(repository.metadataRequests.at(-1)).toBe('timestamp');
  });

  it('targets that the snapshot does not name are not asked for', async () => {
    await client.init(initial());
    await client.refresh();
    repository.publish('targets');
    expect(await client.refresh()).toBe(0);
    expect(repository.metadataRequests.at(-1)).toBe('timestamp');
    expect(await client.trusted()).toContain('targets 1');
  });
});

describe('what the specification does not know', () => {
  it('is under the signature and in the key id, and nothing else', async () => {
    await client.init(initial());
    repository.root['custom-field'] = { a: [1, 'two'] };
    repository.addKey('root', roleKey('ecdsa', { 'x-owner': '@someone', nested: { a: 1 } }));
    Object.assign(repository.ring('snapshot'), { 'another-field': 1 });
    repository.addKey('snapshot', roleKey('ed25519', { keyid_hash_algorithms: 'md5' }));
    repository.signers.set('snapshot', repository.signers.get('snapshot')!.slice(1));
    repository.publish('root', 'snapshot', 'timestamp');
    expect(await client.refresh()).toBe(0);
    expect(await client.trusted()).toEqual(['root 2', 'snapshot 2', 'targets 1', 'timestamp 2']);
  });

  it('makes a signature void when it was not signed', async () => {
    await client.init(initial());
    repository.publish('root');
    repository.tamper('root', (raw) => (raw.signed['added'] = 'later'));
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toEqual(['root 1']);
  });
});

describe('bounds', () => {
  it('reads no metadata beyond its limit', async () => {
    await client.init(initial());
    repository.published.set('timestamp', [Buffer.alloc(20 * 1024, 0x20)]);
    expect(await client.refresh()).toBe(1);
    expect(client.said).toContain('more than');
  });

  it('follows more roots than one refresh of other clients does', { timeout: 60_000 }, async () => {
    for (let i = 0; i < 60; i++) repository.publish('root');
    await client.init(initial());
    expect(await client.refresh()).toBe(0);
    expect(await client.trusted()).toContain('root 61');
  });
});
