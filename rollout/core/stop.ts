import { evaluate, sentenceOf } from '@tidegate/rollout/health';
import { accepted, currentStep, to, withStep } from './change.ts';
import type { AssignmentState, Decision, Evidence, Observation, Rollout } from './types.ts';

/** Hard events from at least this many treated chargers, at this many sites, halt: one stolen device identity must not undo a fix. Design §5 */
const HARD_CHARGERS = 3;
const HARD_SITES = 2;

/** Why a watched rollout must stop and go back by itself, or null. */
export function reasonToHalt(rollout: Rollout, observation: Observation, now: number): Evidence | null {
  return byDetector(rollout, observation, now) ?? byHardEvents(rollout, observation, now);
}

function byDetector(rollout: Rollout, observation: Observation, now: number): Evidence | null {
  const from = rollout.judgedFrom ?? -Infinity;
  const verdict = evaluate(
    observation.bins.filter((bin) => bin.from >= from),
    rollout.plan.detector,
  );
  const { worst } = verdict;
  if (!verdict.halt || worst === null) return null;
  return {
    at: now,
    kind: 'detector',
    sentence: sentenceOf(worst, rollout.release.version),
    signal: worst.signal,
    m: worst.m,
    threshold: worst.threshold,
    logLikelihood: worst.logLikelihood,
    treated: worst.treated,
    control: worst.control,
  };
}

function byHardEvents(rollout: Rollout, { hard }: Observation, now: number): Evidence | null {
  if (hard.chargers < HARD_CHARGERS || hard.sites < HARD_SITES) return null;
  // What people overruled when they sent it forward does not halt it twice.
  if (rollout.judgedFrom !== null && hard.chargers <= rollout.noticed.hardChargers) return null;
  const what = hard.code ?? 'hard events';
  const sentence = `${hard.chargers} chargers on ${rollout.release.version}, at ${hard.sites} sites, reported ${what}.`;
  return { at: now, kind: 'hardEvents', sentence };
}

/**
 * Pauses on one charger's hard event, and on more failures than the plan tolerates in the current step. While paused, it goes on taking note of
 * worse figures, so that whoever resumes has seen them. Null when there is nothing new.
 */
export function reasonToPause(rollout: Rollout, observation: Observation, now: number): Decision | null {
  if (rollout.status === 'COMPLETED') return null;
  const counts = observation.steps[rollout.current]?.counts ?? {};
  const failed = (counts.FAILED ?? 0) + (counts.LOST ?? 0);
  const size = membersOf(counts);
  const tooMany = failed > Math.max(tolerated(rollout, size), rollout.noticed.failed);
  const hardChargers = observation.hard.chargers;
  const hard = hardChargers > rollout.noticed.hardChargers;
  if (!tooMany && !hard) return null;
  const reasons = [
    ...(hard
      ? [`${hardChargers} charger(s) on the release reported ${observation.hard.code ?? 'a hard event'}`]
      : []),
    ...(tooMany ? [`${failed} of ${size} chargers of this step failed or fell silent`] : []),
  ];
  const pausedBecause = `${reasons.join('; ')}.`;
  const noticed = {
    hardChargers: Math.max(hardChargers, rollout.noticed.hardChargers),
    failed: tooMany ? failed : rollout.noticed.failed,
  };
  const since = rollout.status === 'PAUSED' ? rollout : to(rollout, 'PAUSED', now);
  const paused = { ...since, pausedBecause, noticed };
  // A gate's approvals were given without knowing this.
  const atGate = currentStep(rollout)?.status === 'GATE';
  return accepted(atGate ? withStep(paused, { approvals: [] }) : paused, [], [`Paused: ${pausedBecause}`]);
}

/** Chargers that a step really has: fewer than planned when some were retired before the draw, or skipped. */
export function membersOf(counts: Partial<Record<AssignmentState, number>>): number {
  const drawn = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return drawn - (counts.SKIPPED ?? 0);
}

/** Failures in a step of this size that the plan tolerates. */
export function tolerated(rollout: Rollout, size: number): number {
  return Math.floor(size * rollout.plan.maxFailedShare + 1e-9);
}
