/** Nothing but a refusal, or the unmodified accept. `npm run fuzz` does the same with 100,000 cases and another seed. */
import { expect, it } from 'vitest';
import { fuzz } from './fuzz.ts';

it('2,000 hostile inputs end in a refusal of the closed set, or in what was signed', async () => {
  const outcomes = await fuzz({ cases: 2000, seed: 20_261_122 });
  expect(outcomes.filter(({ failure }) => failure !== undefined)).toEqual([]);
  expect(outcomes.reduce((sum, { cases }) => sum + cases, 0)).toBeGreaterThanOrEqual(2000);
});
