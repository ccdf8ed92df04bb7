/**
 * How fast the fleet's clock may run on this machine. Rules count fleet time, I/O takes the wall's: where the machine is behind, or the
 * service away, each second of work would cost the fleet hours of silence that production never sees. So the clock waits; the rules stay.
 */

/** Halvings of the speed while the service is away: at 3,600 fleet seconds a second, a fleet minute is left. */
export const AWAY = 6;
/** Halvings at most while the fleet is late. A charger that sleeps until its next poll sleeps longer on a slower clock, so more would not help. */
export const LATE = 3;
/** Share of the chargers that may be busy with a download or a boot, or broken: nobody waits for them. */
const STRAGGLERS = 0.05;

/**
 * @param halvings in force
 * @param silence ms of the fleet's time for which the fleet was not heard; undefined while the service does not answer
 * @param tolerance ms of it that are let pass
 * @returns halvings from now on: one more or less with each look, all of them while the service is away
 */
export function nextPace(halvings: number, silence: number | undefined, tolerance: number): number {
  if (silence === undefined) return AWAY;
  if (silence > tolerance) return halvings + Math.sign(LATE - halvings);
  return silence < tolerance / 2 ? Math.max(0, halvings - 1) : halvings;
}

/** ms since the fleet was heard: all of it but a few stragglers. @param seen ms at which each charger was heard last */
export function silenceOf(seen: readonly number[], now: number): number {
  const last = seen.toSorted((a, b) => a - b)[Math.floor(seen.length * STRAGGLERS)];
  return last === undefined ? 0 : now - last;
}
