import { expect, test } from 'vitest';
import { treatedHours } from './reports.ts';

const HOUR = 3_600_000;
const bin = (from: number, to: number, chargerHours: number) => ({
  from: from * HOUR,
  to: to * HOUR,
  exposure: { chargerHours },
});

test('a gate counts the hours that passed since the activation, whatever a charger claims', () => {
  const held = { activatedAt: 100 * HOUR };
  expect(treatedHours(bin(100, 102, 2), held)).toBe(2);
  expect(treatedHours(bin(100, 102, 1.5), held)).toBe(1.5);
  expect(treatedHours(bin(100, 102, 1e6), held)).toBe(2);
  expect(treatedHours(bin(0, 102, 102), held)).toBe(2);
  expect(treatedHours(bin(0, 99, 99), held)).toBe(0);
  expect(treatedHours(bin(100, 102, 2), { activatedAt: null })).toBe(0);
});
