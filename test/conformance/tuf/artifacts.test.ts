import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientUnderTest } from './testing/client.ts';
import { Repository } from './testing/repository.ts';

let repository: Repository;
let client: ClientUnderTest;

beforeEach(async () => {
  repository = new Repository();
  client = await ClientUnderTest.start(repository);
});

afterEach(() => client.stop());

beforeEach(() => client.init(repository.latest('root')));

function publish(): void {
  repository.publish('targets', 'snapshot', 'timestamp');
}

it('a refresh fetches no artifact', async () => {
  repository.addArtifact('targets', 'file.txt', 'content');
  publish();
  expect(await client.refresh()).toBe(0);
  expect(repository.artifactRequests).toEqual([]);
});

it.each(['file.txt', 'path/to/a/file.txt', 'with space & + ü.txt', '../../outside.txt', '.hidden'])(
  '%s is fetched once, by its digest',
  async (path) => {
    repository.addArtifact('targets', path, 'content');
    publish();
    if (path.startsWith('..')) return expect(await client.download(path)).toBe(1);
    expect(await client.download(path)).toBe(0);
    expect(await client.download(path)).toBe(0);
    expect(await client.artifacts()).toEqual(['content']);
    expect(repository.artifactRequests).toHaveLength(1);
  },
);

it('several at once', async () => {
  repository.addArtifact('targets', 'one', '1');
  repository.addArtifact('targets', 'two', '2');
  publish();
  expect(await client.download('one', 'two')).toBe(0);
  expect(await client.artifacts()).toEqual(['1', '2']);
});

it('other bytes than signed are never kept, and the right ones never lost', async () => {
  repository.addArtifact('targets', 'one', 'the right one');
  repository.addArtifact('targets', 'two', 'another right one');
  publish();
  expect(await client.download('one')).toBe(0);
  for (const bytes of ['the wrong one', 'wrong', 'wrong '.repeat(100)]) {
    repository.artifacts.set('one', Buffer.from(bytes));
    repository.artifacts.set('two', Buffer.from(bytes));
    await client.download('one');
    expect(await client.download('two')).toBe(1);
    expect(await client.artifacts()).toEqual(['the right one']);
  }
});

it('a file that was changed on the disk is fetched again', async () => {
  repository.addArtifact('targets', 'file', 'content');
  publish();
  await client.download('file');
  const { writeFile } = await import('node:fs/promises');
  await writeFile(`${client.targetDir}/file`, 'CONTENT');
  expect(await client.download('file')).toBe(0);
  expect(await client.artifacts()).toEqual(['content']);
});

it('a new version takes the place of the old one', async () => {
  for (const content of ['first', 'second, and longer', '3']) {
    repository.addArtifact('targets', 'file', content);
    publish();
    expect(await client.download('file')).toBe(0);
    expect(await client.artifacts()).toEqual([content]);
    repository.artifacts.set('file', Buffer.from('malicious'));
    await client.download('file');
    expect(await client.artifacts()).toEqual([content]);
  }
});

describe('hashes', () => {
  it.each([['sha256'], ['sha512'], ['sha256', 'sha512']])('%s %s', async (...algorithms) => {
    repository.addArtifact('targets', 'file', 'content', algorithms);
    publish();
    expect(await client.download('file')).toBe(0);
    expect(await client.artifacts()).toEqual(['content']);
  });

  it('one that is not known here vouches for nothing', async () => {
    repository.addArtifact('targets', 'file', 'content', ['sha512']);
    const { hashes } = repository.top.targets['file']!;
    repository.top.targets['file']!.hashes = { 'unknown-hash': hashes['sha512']! };
    publish();
    expect(await client.download('file')).toBe(1);
    expect(await client.artifacts()).toEqual([]);
  });

  it('all that are known must fit', async () => {
    repository.addArtifact('targets', 'file', 'content', ['sha256', 'sha512']);
    repository.top.targets['file']!.hashes['sha512'] = '0'.repeat(128);
    publish();
    expect(await client.download('file')).toBe(1);
  });
});
