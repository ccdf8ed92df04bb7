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
}
