/** Every attack of the suite, each beside its twin: `npm run attacks` shows the same as a table. */
import { beforeAll, describe, expect, it } from 'vitest';
import { tryAttack } from './attack.ts';
import { certificates, type Certificates } from './line.ts';
import { CHAPTERS } from './suite.ts';

let held: Certificates;
beforeAll(async () => {
  held = await certificates();
});

it('each attack has a name of its own', () => {
  const names = CHAPTERS.flatMap(({ attacks }) => attacks.map(({ name }) => name));
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThan(100);
});

describe.each(CHAPTERS)('$title', ({ attacks }) => {
  it.concurrent.each(attacks)('$name', async (attack) => {
    const outcome = await tryAttack(attack, held);
    expect(outcome).toMatchObject({ asExpected: true, twinInstalled: true });
  });
});
