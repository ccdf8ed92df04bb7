import { beforeEach, describe, expect, it } from 'vitest';
import { MAX_BYTES } from './metadata.ts';
import { expectRefusal } from './testing/refused.ts';
import { inDays, NOW, type TestRepository } from './testing/repository.ts';
import { published, start } from './testing/walk.ts';

let repository: TestRepository;

beforeEach(() => {
  repository = published();
});

describe('bounds', () => {
  it('refuses files above the limit of their role before reading them', () => {
    const huge = Buffer.alloc(MAX_BYTES.timestamp + 1, 0x20);
    expectRefusal('METADATA_TOO_LARGE', () => start(repository).updateTimestamp(huge, NOW));
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
    expectRefusal('METADATA_MALFORMED', () => start(repository).updateTimestamp(bytes, NOW));
  });

  it('refuses nesting that would exhaust the stack', () => {
    const deep = `${'['.repeat(7000)}${']'.repeat(7000)}`;
    const bytes = Buffer.from(
      `{"signed":{"_type":"timestamp","spec_version":"1.0.34","version":1,"expires":"${inDays(1)}","meta":{"snapshot.json":{"version":1}},"x":${deep}},"signatures":[]}`,
    );
    expect(() => start(repository).updateTimestamp(bytes, NOW)).toThrow(
      expect.objectContaining({ name: 'Refusal' }),
    );
  });
});
