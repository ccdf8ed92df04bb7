import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chargerModel, type ModelEvent } from './charger.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Date.UTC(2026, 10, 22);
const RUNS = { seed: 7, numRuns: 200 };

const storm = { from: START + 5 * HOUR, to: START + 11 * HOUR, factor: 4 };
const traits = { seed: 's', serial: 'C-1', siteType: 'retail', faultFactors: { bad: 3 } };

function fleetEvents(change: object, image: string | null, from = START, to = START + 4 * DAY): ModelEvent[] {
  return Array.from({ length: 300 }, (_, i) =>
    chargerModel({ ...traits, serial: `C-${i}`, ...change }),
  ).flatMap((model) => model.interval(from, to, image).events);
}

const count = (events: ModelEvent[], signal: string) =>
  events.filter((event) => event.signal === signal).length;

describe('chargerModel', () => {
  it('gives the same in whatever pieces it is asked', () => {
    const cuts = fc.array(fc.integer({ min: 0, max: 2 * DAY }), { minLength: 2, maxLength: 30 });
    const images = fc.constantFrom(null, 'good', 'bad');
    fc.assert(
      fc.property(cuts, images, fc.string(), (drawn, image, seed) => {
        const model = chargerModel({ ...traits, seed, storms: [storm] });
        const times = drawn.map((cut) => START + cut).sort((a, b) => a - b);
        const whole = model.interval(times[0] ?? 0, times.at(-1) ?? 0, image);
        const pieces = times.slice(1).map((to, i) => model.interval(times[i] ?? to, to, image));
        const events = pieces.flatMap((piece) => piece.events);
        expect(events).toEqual(whole.events);
        for (const unit of ['attempts', 'transactions', 'connectorHours', 'chargerHours'] as const) {
          const sum = pieces.reduce((total, piece) => total + (piece.exposure[unit] ?? 0), 0);
          expect(sum).toBeCloseTo(whole.exposure[unit] ?? NaN, 6);
        }
      }),
      RUNS,
    );
  });

  it('puts every event inside the interval, by rising time', () => {
    const { events } = chargerModel({ ...traits, faultsPerDay: 50 }).interval(START, START + DAY, null);
    expect(events.length).toBeGreaterThan(10);
    expect(events.every((event) => event.at >= START && event.at < START + DAY)).toBe(true);
    expect(events.map((event) => event.at)).toEqual(events.map((event) => event.at).sort((a, b) => a - b));
  });

  it('is another charger for another serial number or seed', () => {
    const faults = (change: object) =>
      chargerModel({ ...traits, faultsPerDay: 20, ...change }).interval(START, START + DAY, null);
    expect(faults({ serial: 'C-2' })).not.toEqual(faults({}));
    expect(faults({ seed: 't' })).not.toEqual(faults({}));
  });

  it('has the rates it is asked for', () => {
    const perDay = count(fleetEvents({ frailtyShape: 1000 }, null), 'fault') / (300 * 4);
    expect(perDay).toBeGreaterThan(2.85);
    expect(perDay).toBeLessThan(3.15);
  });

  it('spreads them over chargers with mean 1', () => {
    const frailties = Array.from(
      { length: 4000 },
      (_, i) => chargerModel({ ...traits, serial: `C-${i}`, frailtyShape: 0.5 }).frailty,
    );
    const mean = frailties.reduce((sum, each) => sum + each, 0) / frailties.length;
    const variance = frailties.reduce((sum, each) => sum + (each - mean) ** 2, 0) / frailties.length;
    expect(mean).toBeCloseTo(1, 1);
    // Gamma(0.5) with mean 1 has variance 2.
    expect(Math.abs(variance - 2)).toBeLessThan(0.25);
  });

  it('a bad release triples connector faults and nothing else', () => {
    const [good, bad] = [fleetEvents({}, 'good'), fleetEvents({}, 'bad')];
    expect(count(bad, 'fault') / count(good, 'fault')).toBeCloseTo(3, 0);
    const others = (events: ModelEvent[]) => events.filter((event) => event.signal !== 'fault');
    expect(others(bad)).toEqual(others(good));
  });

  it('a storm hits everybody, whatever they run, while it lasts', () => {
    const within = (storms: object[], image: string) =>
      count(fleetEvents({ storms }, image, storm.from, storm.to), 'fault');
    expect(within([storm], 'good') / within([], 'good')).toBeCloseTo(4, 0);
    expect(within([storm], 'bad') / within([], 'bad')).toBeCloseTo(4, 0);
    const after = (storms: object[]) => fleetEvents({ storms }, 'good', storm.to, storm.to + DAY);
    expect(after([storm])).toEqual(after([]));
  });

  it('charges often, and is idle at some time of every two hours', () => {
    const model = chargerModel({ ...traits, siteType: 'highway' });
    const minutes = Array.from({ length: 7 * 24 * 60 }, (_, i) => model.charging(START + i * MINUTE));
    expect(minutes.filter(Boolean).length).toBeGreaterThan(1000);
    for (let block = 0; block < minutes.length; block += 120) {
      expect(minutes.slice(block, block + 120)).toContain(false);
    }
  });
});
