/** What the agent needs from the charger's own software. */
import type { Exposure, HealthEvent } from '../protocol/index.ts';

/** What happened on the charger in a span of time. */
export interface HealthMaterial {
  exposure: Exposure;
  events: HealthEvent[];
}

export interface Host {
  /** Whether a charging session is active on any connector. While it is, nothing is activated and nothing reboots. */
  isCharging(): boolean | Promise<boolean>;
  /** Boots the charger. On a real one this may return before the power goes; in a simulation it returns after the new boot. */
  reboot(): Promise<void>;
  /** Asked after a trial boot, again and again until it says true or the deadline passes. An error counts as false. */
  healthy(): Promise<boolean>;
  /**
   * Exposure and events with `from` ≤ time < `to` (ms, the agent's clock). After a restart it may be asked for a span again;
   * what this update itself caused (its reboot, the unavailability around it) does not belong in the answer.
   */
  collect(from: number, to: number): HealthMaterial | Promise<HealthMaterial>;
}
