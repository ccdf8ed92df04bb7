import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { clip, columnsOf } from './clip.ts';

const RED = '\u001b[31m';
const RESET = '\u001b[0m';

test.each([
  ['plain', 5],
  ['█░…', 3],
  [`${RED}red${RESET}`, 3],
  ['\u001b]8;;https://x\u0007link\u001b]8;;\u0007', 4],
  ['充電器', 6],
  ['ﾃ', 1],
  ['e\u0301', 1],
  ['⚡', 2],
  ['⚙\ufe0f', 2],
  ['👩‍🔧', 2],
  ['🇳🇴', 2],
  ['', 0],
])('%j takes %i columns', (text, columns) => expect(columnsOf(text)).toBe(columns));

test.each([
  ['abcdef', 6, 'abcdef'],
  ['abcdef', 5, 'abcd…'],
  ['充電器', 5, '充電…'],
  // Half of a wide character cannot be shown.
  ['充電器', 4, '充…'],
  [`${RED}abcdef${RESET}`, 4, `${RED}abc…${RESET}`],
  ['abc', 0, ''],
])('%j in %i columns', (text, columns, clipped) => expect(clip(text, columns)).toBe(clipped));

test('whatever is clipped fits, and what fits is left alone', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom(RED, RESET, '充電', '⚡', '\u001b'),
  );
  const line = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(line, fc.integer({ min: 0, max: 30 }), (text, columns) => {
      const clipped = clip(text, columns);
      expect(columnsOf(clipped)).toBeLessThanOrEqual(columns);
      if (columnsOf(text) <= columns) expect(clipped).toBe(text);
    }),
    { seed: 7, numRuns: 500 },
  );
});
