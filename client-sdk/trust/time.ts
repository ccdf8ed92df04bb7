/**
 * What time it is, for a machine whose clock may wake up in 1970 or in 2106. Design §3, "Time".
 *
 * The floor is a time that has certainly passed: the image's build time at first, then what signed times said. The device clock alone
 * never raises it. Before the first signed time of a boot, the later of clock and floor is the best guess; where that finds metadata
 * expired, the floor itself still serves to read the policy and with it to verify the answer that brings signed time.
 */
import { integer, object, oneOf, parseJson } from './shape.ts';
import type { Files } from './files.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** One signed time raises the floor by this at most, so that one wrong answer cannot put a charger beyond every expiry for ever. */
export const MAX_FLOOR_STEP_MS = 90 * DAY_MS;
/** The floor is not raised by less than this: it spares the flash. */
export const MIN_FLOOR_STEP_MS = DAY_MS / 4;

const TIME_FILE = 'trust/time.json';
const readFloor = object({ _type: oneOf('tidegate-time'), floor: integer(0) });

/**
 * @param clock the device clock, milliseconds.
 * @param signed the last signed time of this boot, and what the device clock said at that moment.
 */
export function trustedNow(clock: number, floor: number, signed?: { time: number; clock: number }): number {
  if (signed === undefined) return Math.max(clock, floor);
  // A clock that was set back since counts as one that stands still.
  return Math.max(floor, signed.time + Math.max(0, clock - signed.clock));
}

/**
 * The floor after a signed time: never lower, at most one bounded step higher, and never beyond `limit`.
 * @param limit when the first of the roles that are trusted now expires. Whoever holds the director's key may sign any time again and
 * again, and without a limit could put a charger beyond every expiry for ever. With it, that heals once the roles would have expired:
 * after a day for the director's key alone, after 90 at most for the whole service.
 */
export function raiseTimeFloor(floor: number, signedTime: number, limit = Infinity): number {
  const raised = Math.min(signedTime, floor + MAX_FLOOR_STEP_MS, limit);
  return raised - floor >= MIN_FLOOR_STEP_MS ? raised : floor;
}

/** @returns the persisted floor, or `buildTime` where it is later, or where the file is lost or torn. */
export async function readTimeFloor(files: Files, buildTime: number): Promise<number> {
  const bytes = await files.read(TIME_FILE);
  if (bytes === undefined) return buildTime;
  try {
    return Math.max(buildTime, readFloor(parseJson(bytes, 1024), '').floor);
  } catch {
    return buildTime;
  }
}

/** @param floor from `raiseTimeFloor`; write it only when it rose. */
export async function writeTimeFloor(files: Files, floor: number): Promise<void> {
  await files.write(TIME_FILE, Buffer.from(JSON.stringify({ _type: 'tidegate-time', floor })));
}
