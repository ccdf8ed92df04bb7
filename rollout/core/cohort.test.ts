import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawCohort } from '../simulation/cohorts.ts';
import { allocate, cohortKey, drawOffset } from './cohort.ts';

const RUNS = { seed: 20261122, numRuns: 200 };

const fleets = fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 8 }).map((sizes) =>
  sizes.flatMap((size, h) =>
    Array.from({ length: size }, (_, i) => {
      const serial = `S${h}-${i}`;
      return { serial, stratum: `h${h}`, key: cohortKey(serial) };
    }),
  ),
);
const stepSizes = fc.array(fc.integer({ min: 0, max: 80 }), { minLength: 1, maxLength: 6 });

function drawAll(fleet: { serial: string; stratum: string; key: number }[], sizes: number[], seed: string) {
  const taken = new Set<string>();
  return sizes.map((size) => {
    const drawn = drawCohort(fleet, taken, size, seed).map((each) => each.serial);
    for (const serial of drawn) taken.add(serial);
    return drawn;
  });
}

describe('allocate', () => {
  it('gives exactly what is asked for, or all that is left, and never more than a stratum has', () => {
    const strata = fc.array(
      fc
        .tuple(fc.integer({ min: 0, max: 1000 }), fc.double({ min: 0, max: 1, noNaN: true }))
        .map(([size, part]) => ({ size, taken: Math.floor(size * part) })),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(strata, fc.integer({ min: 0, max: 5000 }), (given, n) => {
        const named = given.map((each, i) => ({ ...each, stratum: `s${i}` }));
        const counts = allocate(named, n);
        const left = named.map((each) => each.size - each.taken);
        const all = left.reduce((sum, each) => sum + each, 0);
        expect(counts.reduce((sum, each) => sum + each.count, 0)).toBe(Math.min(n, all));
        counts.forEach((each, i) => {
          expect(each.count).toBeGreaterThanOrEqual(0);
          expect(each.count).toBeLessThanOrEqual(left[i] ?? 0);
        });
      }),
      RUNS,
    );
  });

  it('mirrors the fleet: no stratum of a first step is off its proportion by a whole charger', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(sizes, fc.double({ min: 0, max: 1, noNaN: true }), (given, part) => {
        const total = given.reduce((sum, size) => sum + size, 0);
        const n = Math.floor(total * part);
        const strata = given.map((size, i) => ({ stratum: `s${i}`, size, taken: 0 }));
        allocate(strata, n).forEach((each, i) => {
          expect(Math.abs(each.count - (n * (given[i] ?? 0)) / total)).toBeLessThan(1);
        });
      }),
      RUNS,
    );
  });

  it('breaks ties by name, not by order', () => {
    const a = { stratum: 'a', size: 5, taken: 0 };
    const b = { stratum: 'b', size: 5, taken: 0 };
    expect(allocate([a, b], 1)).toEqual([
      { stratum: 'a', count: 1 },
      { stratum: 'b', count: 0 },
    ]);
    expect(allocate([b, a], 1)).toEqual([
      { stratum: 'b', count: 0 },
      { stratum: 'a', count: 1 },
    ]);
  });

  it('makes up for an earlier step that was off', () => {
    const strata = [
      { stratum: 'a', size: 50, taken: 10 },
      { stratum: 'b', size: 50, taken: 0 },
    ];
    expect(allocate(strata, 10).map((each) => each.count)).toEqual([0, 10]);
  });
});

describe('the draw', () => {
  it('takes nobody twice, and everybody in the end', () => {
    fc.assert(
      fc.property(fleets, stepSizes, fc.string(), (fleet, sizes, seed) => {
        const drawn = drawAll(fleet, [...sizes, fleet.length], seed).flat();
        expect(new Set(drawn).size).toBe(drawn.length);
        expect(drawn.length).toBe(fleet.length);
      }),
      RUNS,
    );
  });

  it('is repeated by whoever knows the seed, in whatever order the fleet is listed', () => {
    fc.assert(
      fc.property(fleets, stepSizes, fc.string(), (fleet, sizes, seed) => {
        const once = drawAll(fleet, sizes, seed).map((step) => step.toSorted());
        const again = drawAll(fleet.toReversed(), sizes, seed).map((step) => step.toSorted());
        expect(again).toEqual(once);
      }),
      RUNS,
    );
  });

  it('does not reshuffle an earlier step when a later one grows', () => {
    fc.assert(
      fc.property(fleets, stepSizes, fc.nat(50), fc.string(), (fleet, sizes, more, seed) => {
        const grown = [...sizes.slice(0, -1), (sizes.at(-1) ?? 0) + more];
        const before = drawAll(fleet, sizes, seed);
        const after = drawAll(fleet, grown, seed);
        expect(after.slice(0, -1)).toEqual(before.slice(0, -1));
      }),
      RUNS,
    );
  });

  it('keeps every charger of a step when that very step grows', () => {
    fc.assert(
      fc.property(fleets, fc.nat(80), fc.nat(50), fc.string(), (fleet, size, more, seed) => {
        const taken = new Set(drawCohort(fleet, new Set(), size, seed).map((each) => each.serial));
        const added = drawCohort(fleet, taken, more, seed).map((each) => each.serial);
        expect(added.filter((serial) => taken.has(serial))).toEqual([]);
        expect(added.length).toBe(Math.min(more, fleet.length - taken.size));
      }),
      RUNS,
    );
  });

  it('begins elsewhere for another seed or stratum', () => {
    expect(drawOffset('a', 'x')).not.toBe(drawOffset('b', 'x'));
    expect(drawOffset('a', 'x')).not.toBe(drawOffset('a', 'y'));
    // The seam between seed and stratum counts.
    expect(drawOffset('ab', 'c')).not.toBe(drawOffset('a', 'bc'));
  });

  it('keys are the first 32 bits of SHA-256', () => expect(cohortKey('abc')).toBe(0xba7816bf));
});
