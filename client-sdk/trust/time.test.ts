import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryFiles } from './testing/memory-files.ts';
import { NOW } from './testing/repository.ts';
import {
  MAX_FLOOR_STEP_MS,
  MIN_FLOOR_STEP_MS,
  raiseTimeFloor,
  readTimeFloor,
  trustedNow,
  writeTimeFloor,
} from './time.ts';

const HOUR = 60 * 60 * 1000;
const in2106 = Date.parse('2106-02-07T00:00:00Z');

describe('trustedNow', () => {
  it('is the later of clock and floor before any signed time', () => {
    expect(trustedNow(0, NOW)).toBe(NOW);
    expect(trustedNow(NOW + HOUR, NOW)).toBe(NOW + HOUR);
  });

  it('is the signed time plus what the clock counted, whatever the clock says', () => {
    expect(trustedNow(in2106 + HOUR, NOW, { time: NOW, clock: in2106 })).toBe(NOW + HOUR);
    expect(trustedNow(HOUR, NOW, { time: NOW, clock: 0 })).toBe(NOW + HOUR);
    expect(trustedNow(0, NOW, { time: NOW + HOUR, clock: in2106 })).toBe(NOW + HOUR);
  });

  it('is never below the floor (property)', () => {
    const ms = fc.integer({ min: 0, max: in2106 });
    fc.assert(
      fc.property(ms, ms, ms, ms, (clock, floor, time, then) => {
        expect(trustedNow(clock, floor, { time, clock: then })).toBeGreaterThanOrEqual(floor);
        expect(trustedNow(clock, floor)).toBeGreaterThanOrEqual(floor);
      }),
      { seed: 20261122, numRuns: 200 },
    );
  });
});

describe('the time floor', () => {
  it('rises with signed time in bounded steps, and never falls', () => {
    expect(raiseTimeFloor(NOW, NOW + 12 * HOUR)).toBe(NOW + 12 * HOUR);
    expect(raiseTimeFloor(NOW, in2106)).toBe(NOW + MAX_FLOOR_STEP_MS);
    expect(raiseTimeFloor(NOW, 0)).toBe(NOW);
    expect(raiseTimeFloor(NOW, NaN)).toBe(NOW);
    expect(raiseTimeFloor(NOW, NOW + MIN_FLOOR_STEP_MS - 1)).toBe(NOW);
  });

  it('never rises beyond what limits it, and not by a little', () => {
    const limit = NOW + 10 * MIN_FLOOR_STEP_MS;
    expect(raiseTimeFloor(NOW, in2106, limit)).toBe(limit);
    expect(raiseTimeFloor(limit, in2106, limit)).toBe(limit);
    expect(raiseTimeFloor(NOW, in2106, NOW - 1)).toBe(NOW);
    expect(raiseTimeFloor(NOW, in2106, NOW + MIN_FLOOR_STEP_MS - 1)).toBe(NOW);
  });

  it('survives a restart, and starts from the build time when it is lost or torn', async () => {
    const files = memoryFiles();
    expect(await readTimeFloor(files, 5)).toBe(5);
    await writeTimeFloor(files, NOW);
    expect(await readTimeFloor(files, 5)).toBe(NOW);
    expect(await readTimeFloor(files, NOW + 1)).toBe(NOW + 1);
    await files.write('trust/time.json', Buffer.from('{"_type":"tidegate-ti'));
    expect(await readTimeFloor(files, 5)).toBe(5);
  });
});
