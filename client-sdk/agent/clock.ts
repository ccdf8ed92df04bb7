/** Clocks: the machine's own, and the fleet's, which runs faster for demonstrations and tests. */
import { readFileSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../protocol/index.ts';

/** setTimeout's longest delay; longer ones fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** How often a file of segments is looked at, in ms of the wall's time. */
const RELOAD_MS = 50;
/** Longest nap of the fleet clock, in ms of the wall's time: the speed may change while it sleeps. */
const NAP_MS = 1000;

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    for (let left = ms; left > 0; left -= LONGEST_TIMER) {
      await delay(Math.min(left, LONGEST_TIMER), undefined, signal ? { signal } : {});
    }
    signal?.throwIfAborted();
  },
};

interface Segment {
  /** ms since the epoch on the wall's clock from which this segment holds. */
  wall: number;
  /** ms since the epoch on the fleet's clock at `wall`. */
  fleet: number;
  /** Fleet milliseconds per wall millisecond; 0 stops the clock. */
  speed: number;
}

/**
 * The fleet's clock, read from a JSON file `{segments: [{wall, fleet, speed}, …]}`: the last segment with `wall` ≤ now holds.
 * Every process that reads the same file has the same time. The file is read again when its mtime changes.
 * @throws Error when the file cannot be read or holds no segment that has begun, at construction only.
 */
export function fleetClock(path: string): Clock {
  let segments = readSegments(path);
  let mtime = statSync(path).mtimeMs;
  let lookedAt = Date.now();

  function current(wall: number): Segment {
    if (wall - lookedAt >= RELOAD_MS || wall < lookedAt) {
      lookedAt = wall;
      try {
        const seen = statSync(path).mtimeMs;
        if (seen !== mtime) {
          segments = readSegments(path);
          mtime = seen;
        }
      } catch {
        // Being rewritten: the earlier segments hold until the file is whole again.
      }
    }
    return segmentAt(segments, wall);
  }
  const clock: Clock = {
    now() {
      const wall = Date.now();
      const { wall: start, fleet, speed } = current(wall);
      return Math.floor(fleet + (wall - start) * speed);
    },
    async sleep(ms, signal) {
      const end = clock.now() + ms;
      for (let left = ms; left > 0; left = end - clock.now()) {
        const { speed } = current(Date.now());
        const nap = speed > 0 ? Math.min(Math.max(left / speed, 1), NAP_MS) : RELOAD_MS;
        await delay(nap, undefined, signal ? { signal } : {});
      }
      signal?.throwIfAborted();
    },
  };
  return clock;
}

/** The clock that the environment names: `TIDEGATE_FLEET_CLOCK`, else the machine's. */
export function clockFrom(env: Record<string, string | undefined>): Clock {
  const path = env['TIDEGATE_FLEET_CLOCK'];
  return path ? fleetClock(path) : systemClock;
}

function segmentAt(segments: Segment[], wall: number): Segment {
  const begun = segments.findLast((segment) => segment.wall <= wall);
  if (!begun)
    throw new Error('the fleet clock has no segment that has begun; write one whose wall time is past');
  return begun;
}

function readSegments(path: string): Segment[] {
  const { segments } = JSON.parse(readFileSync(path, 'utf8')) as { segments: Segment[] };
  const sound = segments.every(
    (segment) =>
      Number.isFinite(segment.wall) &&
      Number.isFinite(segment.fleet) &&
      Number.isFinite(segment.speed) &&
      segment.speed >= 0,
  );
  if (!sound) throw new Error(`${path} is not a fleet clock: each segment needs wall, fleet and speed ≥ 0`);
  segmentAt(segments, Date.now());
  return segments;
}
