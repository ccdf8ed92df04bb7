import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SignalBin, TreatedCharger } from '../core/types.ts';
import { evaluate } from './evaluate.ts';
import { crossingSignals, judge, type Judgement } from './judge.ts';
import { hangingSentence, standingSentence } from './sentence.ts';

const HOUR = 3_600_000;
const DETECTOR = { alpha: 0.01, ratios: [1.5, 2, 3, 5, 10], binMinutes: 60, deduplicateMinutes: 15 };

/** Ten hours with 40 untreated chargers of one fault each four hours, and treated ones with so many faults an hour each. */
function fleet(
  faults: readonly number[],
  sites = 3,
  hours = 10,
): { bins: SignalBin[]; treated: TreatedCharger[] } {
  const bins = Array.from({ length: hours }, (_, hour) => ({
    signal: 'fault' as const,
    from: hour * HOUR,
    treatedEvents: faults.reduce((sum, each) => sum + each, 0),
    treatedExposure: faults.length,
    controlEvents: 10,
    controlExposure: 40,
  }));
  const treated = faults.map((count, i) => ({
    signal: 'fault' as const,
    serial: `C-${i}`,
    site: `site-${i % sites}`,
    events: bins.map(({ from }) => ({ from, count })),
    exposure: hours,
    from: 0,
    to: hours * HOUR,
  }));
  return { bins, treated };
}

/** The same at these sites. */
const atSites = ({ bins, treated }: ReturnType<typeof fleet>, sites: string[]) => ({
  bins,
  treated: treated.map((each, i) => ({ ...each, site: sites[i] ?? '' })),
});

const judged = ({ bins, treated }: ReturnType<typeof fleet>, overlooked: readonly string[] = []): Judgement =>
  judge({ bins, treated, earlier: {}, overlooked }, DETECTOR);

describe('judge', () => {
  it('halts where the evidence stands without any one charger', () => {
    const judgement = judged(fleet([2, 1, 1, 1]));
    expect(judgement).toMatchObject({
      kind: 'stands',
      found: { behind: { others: { chargers: 3, sites: 3 } } },
    });
  });

  it('does not halt by one charger, however many faults it invents, and says which it is', () => {
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 400 }), fc.nat(3), (invented, who) => {
        const faults = [0.25, 0.25, 0.25, 0.25].map((each, i) => (i === who ? invented : each));
        const judgement = judged(fleet(faults));
        expect(judgement).toMatchObject({
          kind: 'hangs',
          found: { behind: { chargers: { 0: { serial: `C-${who}` } } } },
        });
      }),
      { seed: 3, numRuns: 60 },
    );
  });

  it('takes M without the first charger as if it had not been treated', () => {
    const judgement = judged(fleet([9, 1, 1, 1]));
    const others = evaluate(fleet([1, 1, 1]).bins, DETECTOR).worst?.lnM ?? NaN;
    if (judgement.kind === 'quiet') throw new Error('evidence was expected');
    expect(judgement.found.behind.lnMWithoutFirst).toBeCloseTo(others, 9);
  });

  it.each([
    ['two chargers', fleet([2, 2, 0, 0])],
    ['one site', fleet([2, 2, 2, 2], 1)],
    ['one site besides that of the first', atSites(fleet([9, 2, 2]), ['a', 'b', 'b'])],
  ])('does not halt by %s, however strong', (_, few) => {
    expect(judged(few)).toMatchObject({ kind: 'hangs' });
  });

  it('takes three chargers, the others at two sites, for enough', () => {
    expect(judged(fleet([2, 2, 2])).kind).toBe('stands');
  });

  it('counts no more what a person has seen and resumed over', () => {
    const one = fleet([30, 0.25, 0.25, 0.25]);
    expect(judged(one, ['C-0']).kind).toBe('quiet');
    // A second thief does no better than the first.
    const two = fleet([30, 30, 0.25, 0.25, 0.25]);
    expect(judged(two, ['C-0'])).toMatchObject({
      kind: 'hangs',
      found: { behind: { chargers: { 0: { serial: 'C-1' } } } },
    });
    const harm = fleet([30, 2, 2, 2, 2]);
    expect(judged(harm, ['C-0']).kind).toBe('stands');
  });

  it('only ever halts where M over everybody reaches 1/α', () => {
    const faults = fc.array(fc.constantFrom(0, 0.25, 0.5, 1, 2, 10), { minLength: 1, maxLength: 6 });
    const names = fc.subarray(['C-0', 'C-1', 'C-2']);
    fc.assert(
      fc.property(faults, names, (drawn, overlooked) => {
        const { bins, treated } = fleet(drawn);
        const { kind } = judged({ bins, treated }, overlooked);
        if (kind !== 'quiet') expect(evaluate(bins, DETECTOR).halt).toBe(true);
        expect(crossingSignals(bins, {}, DETECTOR)).toEqual(evaluate(bins, DETECTOR).halt ? ['fault'] : []);
      }),
      { seed: 9, numRuns: 300 },
    );
  });

  it('does not halt by a signal that only reaches 1/α because somebody is overlooked', () => {
    const faults = fleet([0, 0, 0, 1, 1, 1], 3, 4);
    const as = ({ bins, treated }: ReturnType<typeof fleet>) => ({
      bins: bins.map((each) => ({ ...each, signal: 'boot' as const })),
      treated: treated.map((each) => ({ ...each, signal: 'boot' as const })),
    });
    const boots = as(fleet([30, 30, 30, 0, 0, 0], 3, 4));
    const both = {
      bins: [...faults.bins, ...boots.bins],
      treated: [...faults.treated, ...boots.treated],
    };
    const crossing = (bins: SignalBin[]) => crossingSignals(bins, {}, DETECTOR);
    expect(crossing(both.bins)).toEqual(['boot']);
    expect(crossing([...fleet([1, 1, 1], 3, 4).bins, ...as(fleet([0, 0, 0], 3, 4)).bins])).toEqual(['fault']);
    expect(judged(both, ['C-0', 'C-1', 'C-2']).kind).toBe('quiet');
  });

  it('judges comparisons with earlier rates by the same rule', () => {
    const alone = (faults: readonly number[]) => {
      const { bins, treated } = fleet(faults, 3, 72);
      const bare = bins.map((each) => ({ ...each, controlEvents: 0, controlExposure: 0 }));
      const earlier = { fault: { events: 250, exposure: 1000 } };
      return judge({ bins: bare, treated, earlier, overlooked: [] }, DETECTOR);
    };
    expect(alone([30, 0.25, 0.25, 0.25]).kind).toBe('hangs');
    expect(alone([1, 1, 1, 1])).toMatchObject({
      kind: 'stands',
      found: { verdict: { comparison: 'earlier' } },
    });
  });

  it('tells an operator in sentences', () => {
    const harm = judged(fleet([2, 1, 1, 1]));
    const one = judged(fleet([30, 1, 0, 0]));
    if (harm.kind === 'quiet' || one.kind === 'quiet') throw new Error('evidence was expected');
    expect(standingSentence(harm.found, '1.3.0')).toMatchInlineSnapshot(
      `"Chargers on 1.3.0 had 50 connector faults in 40 weighted connector-hours, where 13.6 were to be expected, 3.7 times as many: chargers without it had 100 in 400 at the same times. The odds against chance reached over a million to 1; 111 to 1 halts. They came from C-0, which had 20, and 3 others at 3 sites; without C-0 the odds still reached over a million to 1."`,
    );
    expect(hangingSentence(one.found, '1.3.0')).toMatchInlineSnapshot(
      `"Chargers on 1.3.0 had 310 connector faults in 40 weighted connector-hours, where 37.3 were to be expected, 8.3 times as many: chargers without it had 100 in 400 at the same times. The odds against chance reached over a million to 1; 111 to 1 halts. But C-0 at site-0 had 300 of them, and without it the odds reached 1 to 1: too little to take the release back, enough not to go beyond this step. It goes back once others bear it out; if that charger is broken or not itself, retire it and resume."`,
    );
  });
});
