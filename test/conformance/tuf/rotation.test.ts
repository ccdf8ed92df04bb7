import { keyIdOf as idOf } from '@tidegate/client-sdk/trust/tuf';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientUnderTest } from './testing/client.ts';
import { roleKey, type Kind, type RoleKey } from './testing/keys.ts';
import { Repository } from './testing/repository.ts';

let repository: Repository;
let client: ClientUnderTest;

beforeEach(async () => {
  repository = new Repository();
  client = await ClientUnderTest.start(repository);
});

afterEach(() => client.stop());

/** Keys by number: who counts, how many must sign, who signs. */
interface Quorum {
  keys: number[];
  threshold: number;
  signers: number[];
}
const quorum = (keys: number[], threshold: number, signers: number[]): Quorum => ({
  keys,
  threshold,
  signers,
});
const FIVE = [0, 1, 2, 3, 4];
const ring = Array.from({ length: 10 }, () => roleKey('ed25519'));

function hold(role: string, { keys, threshold, signers }: Quorum): void {
  repository.ring(role).keyids.length = 0;
  repository.ring(role).threshold = threshold;
  for (const number of keys) repository.addKey(role, ring[number]!);
  repository.signers.set(
    role,
    signers.map((number) => ring[number]!),
  );
}

describe('roots one after the other', () => {
  it.each([
    ['one key for another', [quorum([1], 1, [1]), quorum([2], 1, [2, 1]), quorum([2], 1, [2])]],
    [
      'strangers beside',
      [quorum([1], 1, [3, 1, 4]), quorum([2], 1, [3, 2, 1, 4]), quorum([2], 1, [3, 2, 4])],
    ],
    [
      'any three of five',
      [
        [0, 2, 4],
        [0, 4, 1],
        [0, 1, 3],
      ].map((three) => quorum(FIVE, 3, three)),
    ],
    ['one of five rotated', [quorum(FIVE, 3, [0, 2, 4]), quorum([0, 1, 3, 4, 5], 3, [0, 4, 1])]],
    [
      'one of five, by way of a root that old and new sign',
      [
        quorum(FIVE, 3, [0, 2, 4]),
        quorum([0, 1, 3, 4, 5], 3, [0, 2, 4, 5]),
        quorum([0, 1, 3, 4, 5], 3, [0, 4, 5]),
      ],
    ],
    [
      'all of five',
      [
        quorum(FIVE, 3, [0, 2, 4]),
        quorum([5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]),
        quorum([5, 6, 7, 8, 9], 3, [5, 6, 7]),
      ],
    ],
    ['the threshold up', [quorum([1, 2, 3], 1, [1]), quorum([1, 2, 3], 2, [1, 2])]],
    [
      'the threshold down',
      [quorum([1, 2, 3], 2, [1, 2]), quorum([1, 2, 3], 1, [1, 2]), quorum([1, 2, 3], 1, [1])],
    ],
    ['a second person', [quorum([1], 1, [1]), quorum([1, 2], 2, [1, 2])]],
  ])('are followed to the last: %s', async (_, roots) => {
    await publishRoots(roots);
    expect(await client.refresh()).toBe(0);
    expect(await client.trustedBytes('root')).toEqual(repository.latest('root'));
  });

  it.each([
    ['without the old key', [quorum([1], 1, [1]), quorum([2], 1, [2, 3, 4])]],
    ['without the new key', [quorum([1], 1, [1]), quorum([2], 1, [1, 3, 4])]],
    ['with two of the new three', [quorum(FIVE, 3, [0, 2, 4]), quorum([0, 1, 3, 4, 5], 3, [0, 2, 4])]],
    ['with two of the old three', [quorum(FIVE, 3, [0, 2, 4]), quorum([0, 1, 3, 4, 5], 3, [0, 4, 5])]],
    ['below the new threshold', [quorum([1, 2, 3], 1, [1]), quorum([1, 2, 3], 2, [2])]],
    ['below the old threshold', [quorum([1, 2, 3], 2, [1, 2]), quorum([1, 2, 3], 1, [1])]],
  ])('end before the one %s', async (_, roots) => {
    await publishRoots(roots);
    expect(await client.refresh()).toBe(1);
    expect(await client.trustedBytes('root')).toEqual(repository.published.get('root')!.at(-2));
  });

  async function publishRoots(roots: Quorum[]): Promise<void> {
    repository.forget('root');
    for (const root of roots) {
      hold('root', root);
      repository.publish('root');
    }
    await client.init(repository.published.get('root')![0]!);
  }
});

describe.each(['timestamp', 'snapshot', 'targets'])('%s', (role) => {
  it.each([
    ['by its new key', quorum([2], 1, [2]), true],
    ['by its key and strangers', quorum([1], 1, [3, 1, 4]), true],
    ['by three of five', quorum(FIVE, 3, [4, 2, 1]), true],
    ['by its old key', quorum([2], 1, [1, 3, 4]), false],
    ['by two of five and a stranger', quorum([0, 1, 3, 4, 5], 3, [0, 2, 4]), false],
    ['by two of five', quorum([0, 1, 3, 4, 5], 3, [0, 4]), false],
    ['of more than all its keys', quorum([0, 1], 3, [0, 1]), false],
  ])('signed %s', async (_, keys, accepted) => {
    await client.init(repository.latest('root'));
    hold(role, keys);
    repository.publish('root', 'targets', 'snapshot', 'timestamp');
    expect(await client.refresh()).toBe(accepted ? 0 : 1);
    expect((await client.trusted()).includes(`${role} 2`)).toBe(accepted);
    expect(await client.trusted()).toContain('root 2');
  });
});

describe('one key that comes as many', () => {
  beforeEach(() => client.init(repository.latest('root')));

  it('does not meet a threshold by its id again and again', async () => {
    const key = repository.addKey('snapshot', roleKey());
    for (let i = 0; i < 8; i++) repository.ring('snapshot').keyids.push(key.id);
    repository.ring('snapshot').threshold = 3;
    repository.publish('root', 'snapshot', 'timestamp');
    repository.tamper('snapshot', (raw) => raw.signatures.push(...Array(8).fill(raw.signatures[1]!)));
    expect(await client.refresh()).toBe(1);
    expect((await client.trusted()).some((role) => role.startsWith('snapshot'))).toBe(false);
  });

  it('does not meet a threshold under several ids', async () => {
    const [key] = repository.signers.get('snapshot')!;
    repository.addKey('snapshot', sameKey(key!));
    repository.ring('snapshot').threshold = 2;
    repository.publish('root', 'snapshot', 'timestamp');
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toEqual(['root 2', 'timestamp 2']);
  });

  it('may not sign twice, even where one signature would do', async () => {
    repository.tamper('snapshot', (raw) => raw.signatures.push(raw.signatures[0]!));
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toEqual(['root 1', 'timestamp 1']);
  });

  it('harms nobody by a wrong or an empty signature beside a right one', async () => {
    repository.addKey('timestamp', roleKey());
    const old = repository.published.get('timestamp')![0]!;
    for (const sig of [JSON.parse(old.toString()).signatures[0].sig as string, '']) {
      repository.publish('root', 'timestamp');
      repository.tamper('timestamp', (raw) => (raw.signatures[0]!.sig = sig));
      expect(await client.refresh()).toBe(0);
    }
  });

  function sameKey(key: RoleKey): RoleKey {
    const other = roleKey('ecdsa', { 'x-owner': 'another' });
    const tuf = { ...other.tuf, keyval: key.tuf.keyval };
    return { ...key, id: idOf(tuf), tuf };
  }
});

describe.each(['rsa-pss', 'ecdsa', 'ed25519', 'rsa-pkcs1'] satisfies Kind[])('%s keys', (kind) => {
  it('count, and only by a right signature', async () => {
    await client.init(repository.latest('root'));
    repository.addKey('root', roleKey(kind));
    repository.ring('root').threshold = 2;
    repository.publish('root');
    expect(await client.refresh()).toBe(0);
    expect(await client.trusted()).toContain('root 2');

    repository.publish('root');
    const earlier = JSON.parse(repository.published.get('root')![1]!.toString()).signatures[1].sig as string;
    repository.tamper('root', (raw) => (raw.signatures[1]!.sig = earlier));
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toContain('root 2');
  });
});

it('takes no padding for another', async () => {
  await client.init(repository.latest('root'));
  const key = roleKey('rsa-pkcs1');
  const tuf = { ...key.tuf, scheme: 'rsassa-pss-sha256' };
  repository.addKey('root', { ...key, tuf, id: idOf(tuf) });
  repository.ring('root').threshold = 2;
  repository.publish('root');
  expect(await client.refresh()).toBe(1);
});
