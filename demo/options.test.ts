import { InvalidArgumentError } from 'commander';
import { expect, test } from 'vitest';
import { parseOptions, portNumber } from './options.ts';

test('a port that cannot be is refused before anything starts', () => {
  expect(parseOptions(['--port', '65535']).port).toBe(65_535);
  for (const text of ['65536', '99999', '-1', '8443.5', 'https', '']) {
    expect(() => portNumber(text)).toThrow(InvalidArgumentError);
  }
});
