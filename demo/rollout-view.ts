/** What the demo reads of a rollout. */
export interface StepView {
  name: string;
  status: string;
  size: number;
  soak: {
    /** Of the fleet's time. */
    hours: number;
    /** Reported by chargers on the release. */
    chargerHours: number;
    since: string | null;
    reportedChargerHours: number;
  };
  counts: Partial<Record<string, number>>;
}

export interface RolloutView {
  id: string;
  status: string;
  /** RFC 3339, of the fleet's clock. */
  statusSince: string;
  waitingFor: 'approval' | 'gate' | null;
  current: number;
  steps: StepView[];
  pausedBecause: string | null;
  evidence: { sentence: string; kind: string } | null;
}

/** Chargers that ran the release at any time. */
export function everTaken(view: Pick<RolloutView, 'steps'>): number {
  return view.steps.reduce((sum, step) => sum + count(step, TAKEN), 0);
}

const TAKEN = ['VERIFYING', 'HEALTHY', 'ROLLING_BACK', 'ROLLED_BACK'];

/** Chargers of a step whose assignment is in one of these states. */
export function count({ counts }: Pick<StepView, 'counts'>, states: readonly string[]): number {
  return states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
}
