/** What a charger showed before the rollout, frozen while the rollout is watched. */
export interface Baseline {
  events: number;
  /** In the signal's own unit. */
  exposure: number;
}

/**
 * How much one unit of a charger's exposure counts: its own earlier rate, shrunk towards the mean with one event's worth of prior, over the
 * mean. `(κ·λ̄ + k)/(κ + e)/λ̄` with κ = 1/λ̄. Without it a few frail chargers, drawn into one cohort, pass for an effect. Design §5
 *
 * It is an estimate, and the detector takes it as known: what it is off by adds up over the watch. With a baseline several times as long as the
 * watch that does not show; with one as long as the watch a single signal halts falsely up to about twice as often as its α.
 * @param meanRate λ̄: events per unit of exposure among the selected chargers when the rollout was created.
 */
export function weight(baseline: Baseline, meanRate: number): number {
  if (meanRate <= 0) return 1;
  return (1 + baseline.events) / (1 + meanRate * baseline.exposure);
}

/** λ̄: all events over all exposure; 0 where there is no exposure. */
export function meanRate(baselines: Iterable<Baseline>): number {
  let events = 0;
  let exposure = 0;
  for (const baseline of baselines) {
    events += baseline.events;
    exposure += baseline.exposure;
  }
  return exposure > 0 ? events / exposure : 0;
}

/**
 * Whether an event repeats one that counted: same charger, signal and code within the window. `lastCountedAt` is the last event that
 * counted, not the last one seen, so that a charger that never stops counts once a window.
 */
export function isRepeat(lastCountedAt: number | null, at: number, windowMinutes: number): boolean {
  return lastCountedAt !== null && Math.abs(at - lastCountedAt) < windowMinutes * 60_000;
}
