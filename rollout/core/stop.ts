import {
  CHARGERS_TO_HALT,
  type Found,
  hangingSentence,
  judge,
  type Judgement,
  SITES_TO_HALT,
  standingSentence,
  standsWithoutFirst,
} from '@tidegate/rollout/health';
import { accepted, currentStep, to, withStep } from './change.ts';
import type { AssignmentState, Decision, Evidence, Observation, Rollout } from './types.ts';

/** What the detector makes of everything that people have not overruled. */
export function detect(rollout: Rollout, observation: Observation): Judgement {
  const from = rollout.judgedFrom ?? -Infinity;
  const counts = (each: { from: number }): boolean => each.from >= from;
  const input = {
    bins: observation.bins.filter(counts),
    treated: observation.treated.map((each) => ({ ...each, events: each.events.filter(counts) })),
    earlier: observation.earlier,
    overlooked: rollout.noticed.overlooked ?? [],
  };
  return judge(input, rollout.plan.detector);
}

/** Why a watched rollout must stop and go back by itself, or null. */
export function reasonToHalt(
  rollout: Rollout,
  observation: Observation,
  judgement: Judgement,
  now: number,
): Evidence | null {
  return byDetector(rollout, judgement, now) ?? byHardEvents(rollout, observation, now);
}

function byDetector(rollout: Rollout, judgement: Judgement, now: number): Evidence | null {
  if (judgement.kind !== 'stands') return null;
  const { verdict, behind } = judgement.found;
  const { signal, m, threshold, logLikelihood, treated, control, comparison } = verdict;
  const figures = { signal, m, threshold, logLikelihood, treated, control, comparison, behind };
  const sentence = standingSentence(judgement.found, rollout.release.version);
  return { at: now, kind: 'detector', sentence, ...figures };
}

function byHardEvents(rollout: Rollout, { hard }: Observation, now: number): Evidence | null {
  if (hard.chargers < CHARGERS_TO_HALT || hard.sites < SITES_TO_HALT) return null;
  // What people overruled when they sent it forward does not halt it twice.
  if (rollout.judgedFrom !== null && hard.chargers <= rollout.noticed.hardChargers) return null;
  const what = hard.code ?? 'hard events';
  const sentence = `${hard.chargers} chargers on ${rollout.release.version}, at ${hard.sites} sites, reported ${what}.`;
  return { at: now, kind: 'hardEvents', sentence };
}

/**
 * Pauses on one charger's hard event, on evidence of the detector that hangs on one charger once its step is full, and on more failures than
 * the plan tolerates in the current step. While paused, it goes on taking note of worse figures, so that whoever resumes has seen them. Null when there is nothing new.
 */
export function reasonToPause(
  rollout: Rollout,
  observation: Observation,
  judgement: Judgement,
  now: number,
): Decision | null {
  if (rollout.status === 'COMPLETED') return afterwards(rollout, newlyHanging(rollout, judgement));
  // A pause would keep out the very chargers that could bear the evidence out, or not: a bad release would stay on the first two that took it.
  // The step cannot pass meanwhile: once it is full and soaks, the same evidence pauses.
  const filling = currentStep(rollout)?.status === 'OPEN';
  const hanging = filling ? null : newlyHanging(rollout, judgement);
  const counts = observation.steps[rollout.current]?.counts ?? {};
  const failed = (counts.FAILED ?? 0) + (counts.LOST ?? 0);
  const size = membersOf(counts);
  const tooMany = failed > Math.max(tolerated(rollout, size), rollout.noticed.failed);
  const hardChargers = observation.hard.chargers;
  const hard = hardChargers > rollout.noticed.hardChargers;
  if (!tooMany && !hard && hanging === null) return filling ? told(rollout, judgement) : null;
  const reasons = [
    ...(hard
      ? [`${hardChargers} charger(s) on the release reported ${observation.hard.code ?? 'a hard event'}.`]
      : []),
    ...(hanging === null ? [] : [hangingSentence(hanging, rollout.release.version)]),
    ...(tooMany ? [`${failed} of ${size} chargers of this step failed or fell silent.`] : []),
  ];
  const pausedBecause = reasons.join(' ');
  const noticed = {
    ...(hanging === null ? rollout.noticed : withHanging(rollout, hanging)),
    hardChargers: Math.max(hardChargers, rollout.noticed.hardChargers),
    failed: tooMany ? failed : rollout.noticed.failed,
  };
  const since = rollout.status === 'PAUSED' ? rollout : to(rollout, 'PAUSED', now);
  const paused = { ...since, pausedBecause, noticed };
  // A gate's approvals were given without knowing this.
  const atGate = currentStep(rollout)?.status === 'GATE';
  return accepted(atGate ? withStep(paused, { approvals: [] }) : paused, [], [`Paused: ${pausedBecause}`]);
}

/** Evidence that hangs on a charger that no person has been shown yet. While one such pause lasts, that others join in is no news. */
function newlyHanging({ noticed, status }: Rollout, judgement: Judgement): Found | null {
  if (judgement.kind !== 'hangs') return null;
  const shown = noticed.chargers ?? [];
  if (status === 'PAUSED' && shown.length > (noticed.overlooked ?? []).length) return null;
  return hangsOn(judgement.found).every((serial) => shown.includes(serial)) ? null : judgement.found;
}

/** The one charger that it hangs on, or all of them where they are too few. */
function hangsOn(found: Found): string[] {
  return found.behind.chargers
    .slice(0, standsWithoutFirst(found) ? undefined : 1)
    .map(({ serial }) => serial);
}

function withHanging({ noticed }: Rollout, found: Found): Rollout['noticed'] {
  return { ...noticed, chargers: [...new Set([...(noticed.chargers ?? []), ...hangsOn(found)])] };
}

/** There is nothing left to pause. */
function afterwards(rollout: Rollout, found: Found | null): Decision | null {
  if (found === null) return null;
  return accepted({ ...rollout, noticed: withHanging(rollout, found) }, [], [noteOf(rollout, found)]);
}

/** Once for each charger. */
function told(rollout: Rollout, judgement: Judgement): Decision | null {
  if (rollout.status !== 'RUNNING' || judgement.kind !== 'hangs') return null;
  const { told: before = [], chargers = [] } = rollout.noticed;
  const now = hangsOn(judgement.found);
  if (now.every((serial) => before.includes(serial) || chargers.includes(serial))) return null;
  const noticed = { ...rollout.noticed, told: [...new Set([...before, ...now])] };
  return accepted({ ...rollout, noticed }, [], [noteOf(rollout, judgement.found)]);
}

function noteOf(rollout: Rollout, found: Found): string {
  return `Noticed: ${hangingSentence(found, rollout.release.version)}`;
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
