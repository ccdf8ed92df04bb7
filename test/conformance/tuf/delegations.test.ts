import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientUnderTest } from './testing/client.ts';
import { matches } from './search.ts';
import { roleKey } from './testing/keys.ts';
import { Repository, type Delegated } from './testing/repository.ts';

let repository: Repository;
let client: ClientUnderTest;

beforeEach(async () => {
  repository = new Repository();
  client = await ClientUnderTest.start(repository);
});

afterEach(() => client.stop());

beforeEach(() => client.init(repository.latest('root')));

/** `targets>A`, `A>B!` (terminating), `A>B:*.py` (over paths) */
function delegate(...edges: string[]): void {
  for (const edge of edges) {
    const [, from = '', to = '', end, paths] = /^(\w+)>(\w+)(!)?(?::(.*))?$/.exec(edge) ?? [];
    const how: Partial<Delegated> = { terminating: end !== undefined };
    if (paths !== undefined) how.paths = paths.split(',');
    repository.delegate(from, to, how, keyOf(to));
  }
}

const keyOf = (name: string) => repository.signers.get(name)?.[0] ?? roleKey('ed25519');

function publish(): void {
  repository.publish(...repository.targets.keys(), 'snapshot', 'timestamp');
  repository.metadataRequests.length = 0;
}

/** Delegated roles that were asked for, in order. */
const asked = () => repository.metadataRequests.slice(4).map((request) => request.replace(/@1$/, ''));

describe('roles are asked in order, depth first', () => {
  it.each([
    ['one', ['targets>A'], 'A'],
    ['two', ['targets>A', 'targets>B'], 'AB'],
    ['one below the second', ['targets>A', 'targets>B', 'B>C'], 'ABC'],
    ['two below the first', ['targets>A', 'targets>B', 'A>C', 'A>D'], 'ACDB'],
    ['three levels', ['targets>A', 'targets>B', 'A>C', 'C>D'], 'ACDB'],
    ['nobody beside or after a terminating one', ['targets>A', 'targets>B', 'A>C!', 'A>D'], 'AC'],
    ['those below a terminating one', ['targets>A', 'targets>B', 'A>C!', 'C>D'], 'ACD'],
    ['nobody over other paths', ['targets>A:*.py', 'targets>B', 'A>C'], 'B'],
    ['nobody below over other paths', ['targets>A', 'targets>B', 'A>C:*.py', 'C>D'], 'AB'],
    ['each once in a circle', ['targets>A', 'targets>B', 'B>C', 'C>D', 'D>B'], 'ABCD'],
    ['each once where two lead to it', ['targets>A', 'targets>B', 'B>C', 'A>C'], 'ACB'],
    ['by the way that speaks for the path', ['targets>A', 'targets>B', 'B>C', 'A>C:*.py'], 'ABC'],
    ['on after a terminating one over other paths', ['targets>A!:*.py', 'targets>B'], 'B'],
  ])('%s', async (_, edges, order) => {
    delegate(...edges);
    publish();
    expect(await client.download('missing')).toBe(1);
    expect(asked().join('')).toBe(order);
  });

  it('up to a limit', async () => {
    const names = Array.from({ length: 40 }, (_, i) => `R${i}`);
    names.forEach((name, i) => delegate(`${names[i - 1] ?? 'targets'}>${name}`));
    repository.addArtifact('R39', 'deep', 'too deep');
    publish();
    expect(await client.download('deep')).toBe(1);
    expect(asked()).toHaveLength(32);
  });
});

describe('a target', () => {
  beforeEach(() => {
    delegate('targets>A:*.doc,*.md', 'targets>B:releases/*/*', 'B>C:releases/x/*', 'B>D:releases/y/*.zip');
    repository.addArtifact('targets', 'plain', 'plain');
    repository.addArtifact('A', 'README.md', 'readme');
    repository.addArtifact('C', 'releases/x/x_v1', 'x');
    repository.addArtifact('D', 'releases/y/y_v1.zip', 'y');
    repository.addArtifact('D', 'releases/z/z_v1.zip', 'z');
    publish();
  });

  it.each([
    ['plain', 'plain', ''],
    ['README.md', 'readme', 'A'],
    ['releases/x/x_v1', 'x', 'BC'],
    ['releases/y/y_v1.zip', 'y', 'BD'],
    ['releases/z/z_v1.zip', undefined, 'B'],
  ])('%s', async (path, content, order) => {
    expect(await client.download(path)).toBe(content === undefined ? 1 : 0);
    expect(asked().join('')).toBe(order);
    expect(await client.artifacts()).toEqual(content === undefined ? [] : [content]);
  });
});

describe('a role that cannot be verified ends the search', () => {
  it.each([
    ['by another key', () => repository.signers.set('A', [roleKey()])],
    ['of another version than the snapshot says', () => repository.role('A').version++],
  ])('%s', async (_, spoil) => {
    delegate('targets>A', 'targets>B');
    repository.addArtifact('B', 'file', 'content');
    spoil();
    publish();
    if (_.startsWith('of')) repository.snapshot.meta['A.json']!.version = 1;
    if (_.startsWith('of')) repository.publish('snapshot', 'timestamp');
    expect(await client.download('file')).toBe(1);
    expect(asked().join('')).toBe('A');
    expect((await client.trusted()).some((role) => role.startsWith('A'))).toBe(false);
  });

  it('that the snapshot does not list', async () => {
    delegate('targets>A');
    publish();
    delete repository.snapshot.meta['A.json'];
    repository.publish('snapshot', 'timestamp');
    expect(await client.download('file')).toBe(1);
    expect(asked()).toEqual([]);
  });

  // Two parents may give one name to different keys: what one of them verified says nothing for the other.
  it('is verified anew for each delegator, also in one and the same run', async () => {
    delegate('targets>A:a/*', 'targets>B:b/*');
    const key = repository.delegate('A', 'C', { paths: ['a/*'] });
    repository.delegate('B', 'C', { paths: ['b/*'] });
    expect(repository.signers.get('C')).toEqual([key]);
    repository.addArtifact('C', 'a/one', 'one');
    repository.addArtifact('C', 'b/two', 'two');
    publish();
    expect(await client.download('a/one', 'b/two')).toBe(1);
    expect(await client.artifacts()).toEqual(['one']);
    expect(await client.download('b/two')).toBe(1);
    expect(await client.download('a/one')).toBe(0);
  });
});

describe('delegations by hash', () => {
  const digest = createHash('sha256').update('file').digest('hex');

  it('by prefixes of the digest of the path', async () => {
    repository.delegate('targets', 'other', { path_hash_prefixes: [digest.startsWith('0') ? '1' : '0'] });
    repository.delegate('targets', 'right', { path_hash_prefixes: ['ff', digest.slice(0, 3)] });
    repository.addArtifact('right', 'file', 'content');
    publish();
    expect(await client.download('file')).toBe(0);
    expect(asked()).toEqual(['right']);
  });

  it.each([1, 3, 4, 5, 8, 10])('by %i bits of it, in as many bins', async (bits) => {
    const bin = Number.parseInt(digest.slice(0, 8), 16) >>> (32 - bits);
    const name = `bin-${bin.toString(16).padStart(Math.ceil(bits / 4), '0')}`;
    const key = repository.delegate('targets', name);
    const succinct = { keyids: [key.id], threshold: 1, bit_length: bits, name_prefix: 'bin' };
    repository.top.delegations = { keys: { [key.id]: key.tuf }, succinct_roles: succinct };
    repository.addArtifact(name, 'file', 'content');
    publish();
    expect(await client.download('file')).toBe(0);
    expect(asked()).toEqual([name]);
  });
});

describe('role names', () => {
  it.each([
    '?',
    '#',
    '/delegated',
    '../delegated',
    '..',
    '%2e%2e/up',
    'a b',
    'ümlaut',
    '-rf',
    "quote'(*)!",
    'x'.repeat(300),
  ])('%s is asked for by itself and kept in the folder', async (name) => {
    repository.delegate('targets', name);
    repository.addArtifact(name, 'file', 'content');
    publish();
    expect(await client.download('file')).toBe(0);
    expect(asked()).toEqual([name]);
    expect(await client.trusted()).toHaveLength(5);
    expect(await client.artifacts()).toEqual(['content']);
  });

  it.each(['root', 'timestamp', 'snapshot', 'targets', ''])('%j is no delegated role', async (name) => {
    repository.delegate('targets', 'A');
    repository.top.delegations!.roles![0]!.name = name;
    publish();
    expect(await client.refresh()).toBe(1);
    expect(await client.trusted()).toEqual(['root 1', 'snapshot 2', 'timestamp 2']);
  });

  it('are not given twice by one role', async () => {
    delegate('targets>A', 'targets>A');
    publish();
    expect(await client.refresh()).toBe(1);
  });
});

describe('path patterns', () => {
  it.each([
    ['a/b', 'a/*', true],
    ['a/b/c', 'a/*', false],
    ['a', 'a/*', false],
    ['a.tgz', '*.tgz', true],
    ['d/a.tgz', '*.tgz', false],
    // GHSA-qp9x-wp8f-qgjj, in python-tuf: on some systems case did not matter.
    ['a.TGZ', '*.tgz', false],
    ['foo-1.txt', 'foo-?.txt', true],
    ['foo-12.txt', 'foo-?.txt', false],
    ['a/b', '*', false],
    ['x', '[xyz]', false],
    ['a.b', 'a?b', true],
    ['abab', '*ab', true],
    ['', '*', true],
  ])('%j by %j: %s', (path, pattern, expected) => {
    expect(matches(path, pattern)).toBe(expected);
  });

  it('mean what the same regular expression means', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', '/', '.'), maxLength: 12 });
    fc.assert(
      fc.property(text, text, (path, pattern) => {
        const quoted = pattern
          .replace(/[.]/g, String.raw`\.`)
          .replace(/[*]/g, '[^/]*')
          .replace(/[?]/g, '[^/]');
        expect(matches(path, pattern)).toBe(new RegExp(`^${quoted}$`).test(path));
      }),
      { seed: 7, numRuns: 2000 },
    );
  });

  it('take no exponential time', () => {
    expect(matches('a'.repeat(5000), `${'*a'.repeat(500)}b`)).toBe(false);
  });
});
