import { expect, it } from 'vitest';
import { gamma, streamKey, uniform } from './hash.ts';

it('spreads evenly, along a stream and across streams', () => {
  const cells = Array.from({ length: 20 }, () => 0);
  const add = (u: number) =>
    (cells[Math.floor(u * cells.length)] = (cells[Math.floor(u * cells.length)] ?? 0) + 1);
  for (let i = 0; i < 50_000; i++) add(uniform(streamKey('a', 'b'), 29_000_000 + i));
  for (let i = 0; i < 50_000; i++) add(uniform(streamKey('seed', `C-${i}`), 29_000_000));
  const chiSquare = cells.reduce((sum, n) => sum + (n - 5000) ** 2 / 5000, 0);
  // 19 degrees of freedom: 43.8 is exceeded once in 1,000 times.
  expect(chiSquare).toBeLessThan(43.8);
});

it('neighbouring places and streams are not alike', () => {
  let product = 0;
  for (let i = 0; i < 20_000; i++) {
    const [a, b] = [uniform(streamKey('x'), i), uniform(streamKey('x'), i + 1)];
    product += (a - 0.5) * (b - 0.5) * 12;
  }
  expect(Math.abs(product / 20_000)).toBeLessThan(0.03);
});

it('stays within [0, 1), and knows where one word ends', () => {
  expect(uniform(0, 0)).toBeGreaterThanOrEqual(0);
  expect(uniform(0xffffffff, 0xffffffff)).toBeLessThan(1);
  expect(streamKey('ab', 'c')).not.toBe(streamKey('a', 'bc'));
});

it.each([0.5, 1, 4])('gamma of shape %d has mean 1 and variance 1/shape', (shape) => {
  const drawn = Array.from({ length: 20_000 }, (_, i) => gamma(streamKey('g', String(i)), shape));
  const mean = drawn.reduce((sum, each) => sum + each, 0) / drawn.length;
  const variance = drawn.reduce((sum, each) => sum + (each - mean) ** 2, 0) / drawn.length;
  expect(mean).toBeCloseTo(1, 1);
  expect(Math.abs(variance * shape - 1)).toBeLessThan(0.1);
});
