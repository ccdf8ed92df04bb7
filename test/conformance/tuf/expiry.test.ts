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

describe('expired when it comes', () => {
  it('a root is kept, and nothing after it is asked for', async () => {
    expect(await client.refresh()).toBe(0);
    repository.root.expires = inDays(-1);
    repository.publish('root', 'targets', 'snapshot', 'timestamp');
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toEqual(['root 2', 'snapshot 1', 'targets 1', 'timestamp 1']);
  });

  it('a root between others does no harm', async () => {
    repository.root.expires = inDays(-1);
    repository.publish('root');
    repository.root.expires = inDays(1);
    repository.publish('root');
    expect(await client.refresh()).toBe(0);
    expect(await client.trusted()).toContain('root 3');
  });

  it.each([
    ['timestamp', ['root 1', 'snapshot 1', 'targets 1', 'timestamp 1']],
    ['snapshot', ['root 1', 'snapshot 1', 'targets 1', 'timestamp 2']],
    ['targets', ['root 1', 'snapshot 2', 'targets 1', 'timestamp 2']],
  ])('%s is not taken', async (name, trusted) => {
    expect(await client.refresh()).toBe(0);
    const role = name === 'targets' ? repository.top : repository[name as 'timestamp' | 'snapshot'];
    role.expires = inDays(-5);
    repository.publish('targets', 'snapshot', 'timestamp');
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toEqual(trusted);
  });

  it('a delegated role is not taken, and its artifact not fetched', async () => {
    repository.delegate('targets', 'below', { paths: ['below/*'] });
    repository.addArtifact('below', 'below/file', 'content');
    repository.role('below').expires = inDays(-1);
    repository.publish('below', 'targets', 'snapshot', 'timestamp');
    expect(await client.refresh()).toBe(0);
    expect(await client.download('below/file')).toBe(1);
    expect(await client.artifacts()).toEqual([]);
    expect(await client.trusted()).toEqual(['root 1', 'snapshot 2', 'targets 2', 'timestamp 2']);
  });
});

describe('expired since it was trusted', () => {
  it('a root gives way to a newer one', async () => {
    repository.root.expires = inDays(7);
    repository.publish('root');
    expect(await client.refresh()).toBe(0);
    client.now = days(18);
    expect(await client.refresh()).toBe(1);
    repository.root.expires = inDays(21);
    repository.publish('root');
    expect(await client.refresh()).toBe(0);
    expect(await client.trusted()).toContain('root 3');
  });

  it('a timestamp gives way to a newer one, with all that it names', async () => {
    repository.timestamp.expires = inDays(7);
    repository.publish('timestamp');
    expect(await client.refresh()).toBe(0);
    repository.timestamp.expires = inDays(21);
    repository.publish('targets', 'snapshot', 'timestamp');
    client.now = days(18);
    expect(await client.refresh()).toBe(0);
    expect(await client.trusted()).toEqual(['root 1', 'snapshot 2', 'targets 2', 'timestamp 3']);
  });

  it.each(['timestamp', 'snapshot'] as const)(
    'a %s of which there is no newer one is refused',
    async (name) => {
      repository[name].expires = inDays(7);
      repository.publish('snapshot', 'timestamp');
      expect(await client.refresh()).toBe(0);
      client.now = days(8);
      expect(await client.refresh()).toBe(1);
    },
  );

  it('a delegated role is used no more, until there is a newer one', async () => {
    repository.delegate('targets', 'below', { paths: ['below/*'] });
    repository.addArtifact('below', 'below/first', 'first');
    repository.addArtifact('below', 'below/second', 'second');
    repository.role('below').expires = inDays(7);
    repository.publish('below', 'targets', 'snapshot', 'timestamp');
    expect(await client.download('below/first')).toBe(0);

    client.now = days(18);
    expect(await client.download('below/second')).toBe(1);
    expect(await client.artifacts()).toEqual(['first']);
    repository.role('below').expires = inDays(21);
    repository.publish('below', 'snapshot', 'timestamp');
    expect(await client.download('below/second')).toBe(0);
    expect(await client.artifacts()).toEqual(['first', 'second']);
  });
});
