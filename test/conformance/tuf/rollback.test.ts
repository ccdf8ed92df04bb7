import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientUnderTest } from './testing/client.ts';
import { days, inDays, Repository } from './testing/repository.ts';

let repository: Repository;
let client: ClientUnderTest;

beforeEach(async () => {
  repository = new Repository();
  client = await ClientUnderTest.start(repository);
});

afterEach(() => client.stop());

beforeEach(() => client.init(repository.latest('root')));

describe('older than what is trusted', () => {
  it('a snapshot that the timestamp does not name changes nothing', async () => {
    repository.publish('snapshot', 'timestamp');
    expect(await client.refresh()).toBe(0);
    repository.publish('snapshot');
    expect(await client.refresh()).toBe(0);
    expect(await client.trusted()).toContain('snapshot 2');
    expect(repository.metadataRequests.at(-1)).toBe('timestamp');
  });

  it('a timestamp', async () => {
    repository.publish('timestamp');
    expect(await client.refresh()).toBe(0);
    repository.forget('timestamp');
    repository.publish('timestamp');
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toContain('timestamp 2');
    expect(repository.metadataRequests.at(-1)).toBe('timestamp');
  });

  it('a timestamp of the same version and other content: the first one stays', async () => {
    expect(await client.refresh()).toBe(0);
    const first = repository.latest('timestamp');
    repository.timestamp.meta['snapshot.json'].version = 100;
    repository.forget('timestamp');
    repository.publish('timestamp');
    expect(await client.refresh()).toBe(0);
    expect(await client.trustedBytes('timestamp')).toEqual(first);
    expect(repository.metadataRequests.at(-1)).toBe('timestamp');
  });

  it.each([false, true])('a snapshot, by a newer timestamp (hashes: %s)', async (hashes) => {
    repository.hashes = hashes;
    repository.publish('snapshot', 'timestamp');
    expect(await client.refresh()).toBe(0);
    repository.forget('snapshot');
    repository.publish('snapshot', 'timestamp');
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toEqual(['root 1', 'snapshot 2', 'targets 1', 'timestamp 2']);
    expect(repository.metadataRequests.at(-1)).toBe('timestamp');
  });

  it.each([false, true])('targets, by a newer snapshot (hashes: %s)', async (hashes) => {
    repository.hashes = hashes;
    repository.publish('targets', 'snapshot', 'timestamp');
    expect(await client.refresh()).toBe(0);
    repository.forget('targets');
    repository.publish('targets', 'snapshot', 'timestamp');
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toEqual(['root 1', 'snapshot 2', 'targets 2', 'timestamp 3']);
  });

  it('and measured by what has expired since', async () => {
    repository.timestamp.expires = inDays(7);
    repository.publish('snapshot', 'timestamp');
    expect(await client.refresh()).toBe(0);
    client.now = days(8);
    repository.timestamp.expires = inDays(30);
    repository.forget('snapshot');
    repository.publish('snapshot', 'timestamp');
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toContain('snapshot 2');
  });

  it('a snapshot that lost a role', async () => {
    repository.delegate('targets', 'somebody');
    repository.publish('somebody', 'targets', 'snapshot', 'timestamp');
    expect(await client.refresh()).toBe(0);
    delete repository.snapshot.meta['somebody.json'];
    repository.publish('snapshot', 'timestamp');
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toContain('snapshot 2');
  });

  it('a snapshot that is not the newest, when the timestamp says so from the beginning', async () => {
    repository.publish('snapshot');
    repository.timestamp.meta['snapshot.json'].version = 1;
    repository.publish('root', 'timestamp');
    expect(await client.refresh()).toBe(0);
    expect(await client.trusted()).toEqual(['root 2', 'snapshot 1', 'targets 1', 'timestamp 2']);
  });
});

describe('after a stolen key has signed far ahead, new keys let the repository go back', () => {
  it('targets, by new snapshot keys', async () => {
    for (let i = 0; i < 99; i++) repository.publish('targets');
    repository.publish('snapshot', 'timestamp');
    expect(await client.refresh()).toBe(0);
    expect(await client.trusted()).toContain('targets 100');

    repository.rotate('snapshot');
    repository.forget('targets');
    repository.publish('root', 'targets', 'snapshot', 'timestamp');
    expect(await client.refresh()).toBe(0);
    expect(await client.trusted()).toContain('targets 1');
  });

  it('the snapshot, by new snapshot and timestamp keys', async () => {
    for (let i = 0; i < 99; i++) repository.publish('snapshot');
    repository.publish('timestamp');
    expect(await client.refresh()).toBe(0);

    repository.rotate('snapshot');
    repository.rotate('timestamp');
    repository.forget('snapshot');
    repository.publish('root', 'targets', 'snapshot', 'timestamp');
    expect(await client.refresh()).toBe(0);
    expect(await client.trusted()).toContain('snapshot 1');
  });

  it('the timestamp, by new timestamp keys', async () => {
    for (let i = 0; i < 99; i++) repository.publish('timestamp');
    expect(await client.refresh()).toBe(0);

    repository.rotate('timestamp');
    repository.forget('timestamp');
    repository.publish('root', 'targets', 'snapshot', 'timestamp');
    expect(await client.refresh()).toBe(0);
    expect(await client.trusted()).toContain('timestamp 1');
  });
});
