/** What the agent needs from the charger's own software. */
import type { Exposure, HealthEvent } from '../protocol/index.ts';

/**
 * What happened on the charger in a span of time. `SIGNALS` of `@tidegate/client-sdk/protocol` says what each signal counts and in which
 * unit it is exposed; e.g. `{ exposure: { chargerHours: 1, connectorHours: 2 }, events: [{ at, signal: 'fault', code: 'GroundFailure' }] }`.
 */
export interface HealthMaterial {
  /** Chances that something could happen, by unit; a unit left out is 0, and without exposure an event says nothing. */
  exposure: Exposure;
  /** Those in the span, in any order. */
  events: HealthEvent[];
}

export interface Host {
  /**
   * Whether a charging session is active on any connector. While it is, nothing is activated and nothing reboots. Design §8, invariant 7.
   * Say true when in doubt; what it throws, `run` throws.
   */
  isCharging(): boolean | Promise<boolean>;
  /**
   * Boots the charger. On a real one this may return before the power goes; in a simulation it returns after the new boot. Asked once,
   * and again when no boot came for five minutes.
   */
  reboot(): Promise<void>;
  /**
   * Asked after a trial boot, again and again until it says true or `healthDeadline` passes; then the earlier image comes back. An error
   * counts as false. Say true once the charger could sell energy: connectors, meter, back-end.
   */
  healthy(): Promise<boolean>;
  /**
   * Exposure and events with `from` ≤ time < `to` (ms, the agent's clock). After a restart it may be asked for a span again;
   * what this update itself caused (its reboot, the unavailability around it) does not belong in the answer.
   */
  collect(from: number, to: number): HealthMaterial | Promise<HealthMaterial>;
}
