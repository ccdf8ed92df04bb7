import type { SimulatedCharger } from './fleet.ts';
import type { Baselines, Repeats } from './health-counts.ts';

/** What one simulation carries through time. */
export interface World {
  fleet: SimulatedCharger[];
  baselines: Baselines;
  repeats: Repeats;
  binMinutes: number;
  now: number;
  /** Baselines are frozen from the first rollout on, because a completed one stays watched. */
  frozen: boolean;
  giveUpHours: number;
  /** Whether a completed rollout is followed to the end of its watch. */
  watch: boolean;
  /** Hours after its completion at which release B begins to do harm, or null. */
  lateAfterHours: number | null;
  /** From then on it does. */
  lateFrom: number;
}

/** What `faultFactors` calls release B once its late harm has begun. */
export const LATE = 'B, late';

/** How a charger's image behaves at that time, as `faultFactors` names it. */
export function behaviour(running: string, at: number, { lateFrom }: World): string {
  return running === 'B' && at >= lateFrom ? LATE : running;
}
