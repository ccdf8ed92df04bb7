import { execFileSync } from 'node:child_process';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { credentialLine, quoted, tidegateLine } from './hints.ts';

test('a shell reads a quoted word as the word, whatever is in it', () => {
  const word = fc
    .string({ unit: 'binary', minLength: 1, maxLength: 40 })
    .filter((text) => !text.includes('\0'));
  const words = fc.sample(word, { seed: 1, numRuns: 200 });
  const line = `printf '%s\\0' ${words.map(quoted).join(' ')}`;
  expect(execFileSync('/bin/sh', ['-c', line], { encoding: 'utf8' }).split('\0').slice(0, -1)).toEqual(words);
});

test('a line can be pasted from a folder with a parenthesis, a space and a quote in its name', () => {
  const file = "/tmp/it's (mine)/alice.json";
  const script = `${credentialLine(file)}\nprintf %s "$TIDEGATE_CREDENTIAL"`;
  expect(execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' })).toBe(file);
});

test('plain words stay plain', () => {
  expect(tidegateLine('audit', 'list', '--subject', 'r-20261122-ab12cd')).toMatch(
    / audit list --subject r-20261122-ab12cd$/,
  );
});
