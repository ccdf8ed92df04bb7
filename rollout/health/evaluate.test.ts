import type { Signal } from '@tidegate/client-sdk/protocol';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SignalBin } from '../core/types.ts';
import { gamma, streamKey, uniform } from '../simulation/hash.ts';
import { evaluate } from './evaluate.ts';
import { wald } from './wald.ts';
import { meanRate, weight } from './weight.ts';

const HOUR = 3_600_000;
const DETECTOR = { alpha: 0.01, ratios: [1.5, 2, 3, 5, 10], binMinutes: 60, deduplicateMinutes: 15 };

function bin(hour: number, treated: [number, number], control: [number, number]): SignalBin {
  const [treatedEvents, treatedExposure] = treated;
  const [controlEvents, controlExposure] = control;
  const counts = { treatedEvents, treatedExposure, controlEvents, controlExposure };
  return { signal: 'fault', from: hour * HOUR, ...counts };
}

describe('evaluate', () => {
  it('is the mixture of design §5, event by event', () => {
    const bins = [bin(0, [3, 10], [5, 40]), bin(1, [4, 12], [2, 38])];
    const expected = DETECTOR.ratios.map((ratio) =>
      bins.reduce((sum, each) => {
        const all = each.treatedExposure + each.controlExposure;
        const before = each.treatedExposure / all;
        const after = (ratio * each.treatedExposure) / (ratio * each.treatedExposure + each.controlExposure);
        const treated = each.treatedEvents * Math.log(after / before);
        return sum + treated + each.controlEvents * Math.log((1 - after) / (1 - before));
      }, 0),
    );
    const m = expected.reduce((sum, each) => sum + Math.exp(each) / expected.length, 0);
    const [verdict] = evaluate(bins, DETECTOR).signals;
    expect(verdict?.m).toBeCloseTo(m, 9);
    expect(DETECTOR.ratios.map((ratio) => verdict?.logLikelihood[ratio])).toEqual(
      expected.map((each): unknown => expect.closeTo(each, 9)),
    );
    expect(verdict).toMatchObject({
      treated: { events: 7, exposure: 22 },
      control: { events: 7, exposure: 78 },
    });
  });

  it('halts at 1/α, and remembers having been there', () => {
    const over = [bin(0, [12, 10], [2, 40])];
    expect(evaluate(over, DETECTOR)).toMatchObject({
      halt: true,
      // A tenth of α is kept for comparisons with earlier rates.
      worst: { signal: 'fault', threshold: expect.closeTo(100 / 0.9) as number },
    });
    expect(evaluate([...over, bin(1, [0, 10], [60, 40])], DETECTOR).halt).toBe(true);
  });

  it('splits α over the signals that have exposure', () => {
    const boots: SignalBin = { ...bin(0, [0, 10], [0, 40]), signal: 'boot' };
    const silent: SignalBin = { ...bin(0, [0, 0], [0, 0]), signal: 'security' };
    expect(evaluate([bin(0, [1, 10], [1, 40]), boots, silent], DETECTOR).worst?.threshold).toBeCloseTo(
      200 / 0.9,
    );
  });

  it('says nothing without concurrent control, and says how much it could not judge', () => {
    const alone = evaluate([bin(0, [1000, 10], [0, 0])], DETECTOR);
    expect(alone).toMatchObject({ halt: false, worst: { lnM: 0, uncontrolled: 10 } });
    expect(evaluate([], DETECTOR)).toEqual({ halt: false, worst: null, signals: [] });
  });

  it('stays finite where the evidence is not', () => {
    const { worst } = evaluate([bin(0, [1e6, 1e3], [1e3, 1e3])], DETECTOR);
    expect(worst?.lnM).toBeGreaterThan(1e5);
    expect(Number.isFinite(worst?.lnM)).toBe(true);
    expect(evaluate([bin(0, [0, 1e-300], [1e9, 1e300])], DETECTOR).worst?.lnM).toBeCloseTo(0);
  });

  it('does not depend on the order of the bins, nor on how a bin was added up', () => {
    const count = fc.nat(20);
    const exposure = fc.double({ min: 0.1, max: 100, noNaN: true });
    const bins = fc.array(fc.tuple(fc.nat(30), count, exposure, count, exposure), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(bins, (drawn) => {
        const given = drawn.map(([hour, kT, eT, kC, eC]) => bin(hour, [kT, eT], [kC, eC]));
        const apart = given.flatMap((each) => [
          { ...each, controlEvents: 0, controlExposure: 0 },
          { ...each, treatedEvents: 0, treatedExposure: 0 },
        ]);
        const lnM = evaluate(given, DETECTOR).worst?.lnM ?? NaN;
        expect(evaluate(given.toReversed(), DETECTOR).worst?.lnM).toBeCloseTo(lnM, 8);
        expect(evaluate(apart, DETECTOR).worst?.lnM).toBeCloseTo(lnM, 8);
      }),
      { seed: 5, numRuns: 300 },
    );
  });

  describe('without concurrent control', () => {
    const earlier = { fault: { events: 100, exposure: 1000 } };
    const alone = (hours: number, perHour: number): SignalBin[] =>
      Array.from({ length: hours }, (_, hour) => bin(hour, [perHour, 10], [0, 0]));
    const lnM = (bins: SignalBin[]) =>
      evaluate(bins, DETECTOR, earlier).signals.find(({ comparison }) => comparison === 'earlier')?.lnM;

    it('compares with earlier rates, with a tenth of α', () => {
      const verdict = evaluate(alone(72, 3), DETECTOR, earlier);
      expect(verdict).toMatchObject({
        halt: true,
        worst: {
          comparison: 'earlier',
          threshold: expect.closeTo(1000) as number,
          treated: { events: 216, exposure: 720 },
          control: { events: 100, exposure: 1000 },
          expected: 72,
        },
      });
      expect(evaluate(alone(72, 1), DETECTOR, earlier).halt).toBe(false);
    });

    it('takes bins that have a control by that alone', () => {
      const both = [...alone(72, 3), bin(100, [1, 10], [100, 1000])];
      expect(lnM(both)).toBeCloseTo(lnM(alone(72, 3)) ?? NaN);
      const [concurrent] = evaluate(both, DETECTOR, earlier).signals;
      expect(concurrent).toMatchObject({ comparison: 'concurrent', uncontrolled: 720, halt: false });
    });

    it('does not count the worst day: a storm of a day halts nothing', () => {
      const storm = alone(72, 1).map((each, hour) =>
        hour < 24 ? { ...each, treatedEvents: 20 * each.treatedEvents } : each,
      );
      expect(lnM(storm)).toBe(0);
      expect(
        lnM(storm.map((each, hour) => (hour === 40 ? { ...each, treatedEvents: 300 } : each))),
      ).toBeGreaterThan(10);
    });

    it('trusts an earlier rate for no more than the events that it rests on', () => {
      const few = { fault: { events: 1, exposure: 10 } };
      expect(evaluate(alone(72, 3), DETECTOR, few).halt).toBe(false);
    });
  });
});

/**
 * A fleet of 60, 12 of them treated, three days of hourly looks, rates with a daily rhythm. Events per charger-day by signal are those of the
 * model charger; baselines are learned from the days before.
 */
interface World {
  rates: Partial<Record<Signal, number>>;
  /** Shape of the gamma spread of rates, or null for equal chargers. */
  shape: number | null;
  /** Days of reports from which the weights are learned; 0 for no weights. */
  baselineDays: number;
  storm: boolean;
  ratio: number;
}

const ALL_SIGNALS: World['rates'] = {
  fault: 3,
  offline: 0.45,
  failedStart: 0.13,
  authError: 0.08,
  abnormalStop: 0.08,
  boot: 0.06,
  security: 0.03,
};

/** The bins of one run. */
function play(world: World, run: number): SignalBin[] {
  const poisson = poissonStream(streamKey('evaluate', String(run)));
  const hours = world.baselineDays * 24;
  const frailties = Array.from({ length: 60 }, (_, i) =>
    world.shape === null ? 1 : gamma(streamKey('frail', `${run}-${i}`), world.shape),
  );
  return Object.entries(world.rates).flatMap(([name, perDay]) => {
    const signal = name as Signal;
    const chargers = frailties.map((frailty) => {
      const rate = (frailty * perDay) / 24;
      return { rate, baseline: { events: poisson(hours * rate), exposure: hours } };
    });
    const mean = meanRate(chargers.map((each) => each.baseline));
    const group = (members: typeof chargers) => ({
      rate: members.reduce((sum, each) => sum + each.rate, 0),
      exposure: members.reduce((sum, each) => sum + (hours > 0 ? weight(each.baseline, mean) : 1), 0),
    });
    const treated = group(chargers.slice(0, 12));
    const control = group(chargers.slice(12));
    return Array.from({ length: 72 }, (_, hour) => {
      const rhythm = 1 + 0.5 * Math.sin((hour / 24) * 2 * Math.PI);
      const shared = rhythm * (world.storm && hour % 36 < 6 ? 4 : 1);
      const treatedEvents = poisson(treated.rate * shared * world.ratio);
      const controlEvents = poisson(control.rate * shared);
      return { ...bin(hour, [treatedEvents, treated.exposure], [controlEvents, control.exposure]), signal };
    });
  });
}

function poissonStream(key: number): (mean: number) => number {
  let place = 0;
  return (mean) => {
    let events = 0;
    for (let product = uniform(key, place++); product > Math.exp(-mean); events++)
      product *= uniform(key, place++);
    return events;
  };
}

/** `evaluate` remembers the highest M, so that one look at the end stands for a look every hour. */
function shareHalted(world: World, runs: number): number {
  const verdicts = Array.from({ length: runs }, (_, run) => evaluate(play(world, run), DETECTOR).halt);
  return verdicts.filter((halt) => halt).length / runs;
}

function firstHalt(world: World, run: number): number | null {
  const bins = play(world, run);
  for (let hour = 1; hour <= 72; hour++) {
    const sofar = bins.filter((each) => each.from < hour * HOUR);
    if (evaluate(sofar, DETECTOR).halt) return hour;
  }
  return null;
}

describe('over many seeded runs', () => {
  const equal: World = { rates: { fault: 3 }, shape: null, baselineDays: 0, storm: false, ratio: 1 };

  it.each([
    ['events are exchangeable', equal],
    ['storms hit everybody', { ...equal, storm: true }],
  ])('false halts stay within α while %s', (_, world) => {
    expect(shareHalted(world, 2000)).toBeLessThanOrEqual(DETECTOR.alpha);
  });

  const rollout = { ...equal, rates: ALL_SIGNALS, baselineDays: 28 };
  it.each([
    ['equal chargers', rollout],
    ['chargers of Gamma(1) spread', { ...rollout, shape: 1 }],
    ['frail chargers of Gamma(0.5) spread', { ...rollout, shape: 0.5 }],
    ['frail chargers in storms', { ...rollout, shape: 0.5, storm: true }],
  ])('a rollout with all signals and learned weights stays within α: %s', (_, world) => {
    expect(shareHalted(world, 1000)).toBeLessThanOrEqual(DETECTOR.alpha);
  });

  it('without the weights frail chargers break it', () => {
    expect(shareHalted({ ...equal, shape: 0.5 }, 500)).toBeGreaterThan(5 * DETECTOR.alpha);
  });

  it.each([2, 3, 5])('a release that raises the rate %d-fold is caught, near Wald’s bound', (ratio) => {
    const hours = Array.from({ length: 200 }, (_, run) => firstHalt({ ...equal, ratio }, run));
    const caught = hours.filter((at) => at !== null).sort((a, b) => a - b);
    expect(caught.length / hours.length).toBeGreaterThan(0.95);
    const bound = wald({ alpha: DETECTOR.alpha, ratio, rate: 12 / 8 });
    // The bound knows the earlier rate; we learn it from 48 control chargers and search five ratios at once.
    expect(caught[caught.length / 2] ?? Infinity).toBeLessThan(Math.max(3, 3 * bound));
  });
});
