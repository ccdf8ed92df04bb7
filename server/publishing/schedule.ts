/** When the service signs its own roles again. Pure: the time and the draw come from outside. */
import { LIFETIME_DAYS } from '@tidegate/signer/repository';

export type OnlineRole = 'snapshot' | 'timestamp';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Part of a life that the draw spreads signing over, so that services which started together do not sign together. */
const SPREAD = 1 / 8;
/** Clocks of replicas differ by less. */
const SKEW_MS = 60 * MINUTE_MS;
const FIRST_RETRY_MS = MINUTE_MS;
const LONGEST_RETRY_MS = 15 * MINUTE_MS;

/**
 * When a role that was just signed is signed again: at the latest at half its life, and up to an eighth of it earlier.
 * @param expires of what was signed, ms. @param jitter 0 to 1, drawn once for each signature and recorded with it.
 */
export function dueAt(role: OnlineRole, expires: number, jitter: number): number {
  return Math.round(expires - lifeOf(role) * (1 / 2 + SPREAD * jitter));
}

/** The same as it is recorded, with a fresh draw. */
export function nextDue(role: OnlineRole, expires: number, random: () => number = Math.random): Date {
  return new Date(dueAt(role, expires, random()));
}

/**
 * Whether to sign now. A schedule that was lost, or that says something absurd, never moves it beyond half the role's life.
 * @param due as recorded; null where nothing is.
 */
export function isOverdue(
  role: OnlineRole,
  { expires, due }: { expires: number; due: number | null },
  now: number,
): boolean {
  // Longer than a whole life: it was signed by a clock that ran ahead, which has been set back since.
  if (expires - now > lifeOf(role) + SKEW_MS) return true;
  return now >= Math.min(due ?? Infinity, dueAt(role, expires, 0));
}

/** Pause before the next attempt after so many failures in a row: doubled each time, up to a bound, and never in step with others. */
export function backOff(failures: number, jitter: number): number {
  const pause = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
  return Math.round(pause * (1 / 2 + jitter / 2));
}

function lifeOf(role: OnlineRole): number {
  return LIFETIME_DAYS[role] * DAY_MS;
}
