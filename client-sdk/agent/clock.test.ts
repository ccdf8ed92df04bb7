import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clockFrom, fleetClock, systemClock } from './clock.ts';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tg-clock-'));
  file = join(folder, 'clock.json');
});
afterEach(() => rm(folder, { recursive: true }));

const write = (...segments: unknown[]): Promise<void> => writeFile(file, JSON.stringify({ segments }));

describe('the fleet clock', () => {
  it('runs at the speed of the last segment that has begun', async () => {
    const wall = Date.now();
    await write(
      { wall: wall - 10_000, fleet: 1_000_000, speed: 1 },
      { wall: wall - 1000, fleet: 5_000_000, speed: 3600 },
      { wall: wall + 3600_000, fleet: 0, speed: 1 },
    );
    expect(fleetClock(file).now()).toBeGreaterThanOrEqual(5_000_000 + 3600 * 1000);
  });

  it('stands still at speed 0 and goes on when the file says so', async () => {
    await write({ wall: 0, fleet: 42, speed: 0 });
    const clock = fleetClock(file);
    expect(clock.now()).toBe(42);
    const slept = clock.sleep(1000);
    await write({ wall: 0, fleet: 42, speed: 0 }, { wall: Date.now(), fleet: 42, speed: 1_000_000 });
    await utimes(file, new Date(), new Date(Date.now() + 5000));
    await slept;
    expect(clock.now()).toBeGreaterThanOrEqual(1042);
  });

  it('keeps its time while the file is torn', async () => {
    await write({ wall: 0, fleet: 42, speed: 0 });
    const clock = fleetClock(file);
    await writeFile(file, '{"segm');
    await utimes(file, new Date(), new Date(Date.now() + 5000));
    await delay(60);
    expect(clock.now()).toBe(42);
  });

  it('stops sleeping when it is told to', async () => {
    await write({ wall: 0, fleet: 0, speed: 0 });
    const stop = new AbortController();
    const slept = fleetClock(file).sleep(1000, stop.signal);
    stop.abort();
    await expect(slept).rejects.toThrow();
  });

  it.each(['{}', '{"segments":[]}', '{"segments":[{"wall":0,"fleet":0,"speed":-1}]}', 'nonsense'])(
    'is not made from %s',
    async (text) => {
      await writeFile(file, text);
      expect(() => fleetClock(file)).toThrow();
    },
  );

  it('is what the environment names', async () => {
    await write({ wall: 0, fleet: 42, speed: 0 });
    expect(clockFrom({ TIDEGATE_FLEET_CLOCK: file }).now()).toBe(42);
    expect(clockFrom({})).toBe(systemClock);
  });
});
