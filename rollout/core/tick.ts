import { advance, keepClosed, openStep } from './advance.ts';
import { accepted, halt, rollingBack, to } from './change.ts';
import { openingOf } from './opening.ts';
import { detect, reasonToHalt, reasonToPause } from './stop.ts';
import type { AssignmentState, Decision, Life, Observation, Rollout } from './types.ts';

const HOUR = 3_600_000;
/** A watched rollout is looked at this often at least, whatever the width of its bins. */
const LOOK_MINUTES = 15;

/** Time has passed and there is new evidence. */
export function tick(
  rollout: Rollout,
  observation: Observation,
  now: number,
  lives: readonly Life[] = [],
): Decision {
  switch (rollout.status) {
    case 'SCHEDULED':
      return start(rollout, lives, now);
    case 'RUNNING':
    case 'PAUSED':
      return judge(rollout, observation, lives, now);
    case 'COMPLETED':
      return isWatched(rollout, now) ? judge(rollout, observation, lives, now) : accepted(rollout, [], []);
    case 'HALTED':
      return rollout.rollBackNext ? rollingBack(rollout, now) : accepted(rollout, [], []);
    case 'ROLLING_BACK':
    case 'ROLLED_BACK':
      return goBack(rollout, observation, now);
    case 'DRAFT':
    case 'AWAITING_APPROVAL':
    case 'CANCELLED':
      return accepted(rollout, [], []);
  }
}

/** When to look again at the latest, or null when only a person can move it. */
export function dueAt(rollout: Rollout, now: number): number | null {
  const soon = now + Math.min(LOOK_MINUTES, rollout.plan.detector.binMinutes) * 60_000;
  switch (rollout.status) {
    case 'SCHEDULED':
      // What it waits for is renewed by people: it is looked at like a rollout that is under way.
      return rollout.holding === 'EXPIRING' ? soon : Math.max(now, rollout.plan.startAt ?? now);
    case 'RUNNING':
    case 'PAUSED':
    case 'ROLLING_BACK':
      return soon;
    case 'COMPLETED':
      return isWatched(rollout, now) ? soon : lastDeadline(rollout, now);
    case 'HALTED':
      return rollout.rollBackNext ? now : null;
    case 'ROLLED_BACK':
      // Chargers that were silent during the rollback come back and must be sent back too. Others turn up on the release much later, by
      // hand or from a backup: their check-in rings, and this look makes up for a ring that was lost.
      return now + (rollout.unreturned > 0 ? 1 : 24) * HOUR;
    case 'DRAFT':
    case 'AWAITING_APPROVAL':
    case 'CANCELLED':
      return null;
  }
}

/** Whether the detector may still halt it. Its chargers' baselines stay frozen meanwhile. */
export function isWatched(rollout: Rollout, now: number): boolean {
  if (rollout.status === 'COMPLETED') return now < rollout.statusSince + rollout.plan.watchHours * HOUR;
  return rollout.status === 'RUNNING' || rollout.status === 'PAUSED';
}

/** What was offered at the end of the watch has met its deadline by then, and is looked at for the last time. */
function lastDeadline({ statusSince, plan }: Rollout, now: number): number | null {
  const end = statusSince + (plan.watchHours + plan.deadlineHours) * HOUR;
  return now < end ? end : null;
}

function start(rollout: Rollout, lives: readonly Life[], now: number): Decision {
  const opening = openingOf(rollout, now);
  if (opening === null) return accepted(rollout, [], []);
  return keepClosed(rollout, opening, lives) ?? openStep(to(rollout, 'RUNNING', now), opening.step, now);
}

function judge(rollout: Rollout, observation: Observation, lives: readonly Life[], now: number): Decision {
  const judgement = detect(rollout, observation);
  const evidence = reasonToHalt(rollout, observation, judgement, now);
  if (evidence !== null) {
    const hardChargers = Math.max(observation.hard.chargers, rollout.noticed.hardChargers);
    return halt({ ...rollout, noticed: { ...rollout.noticed, hardChargers } }, evidence, true, now);
  }
  const paused = reasonToPause(rollout, observation, judgement, now);
  if (paused !== null) return paused;
  return rollout.status === 'RUNNING' ? advance(rollout, observation, lives, now) : accepted(rollout, [], []);
}

/**
 * A rollback is over when each treated charger runs its fallback healthily, or is listed: without a fallback, or `LOST`.
 * Chargers that turn up on the release afterwards are sent back as well.
 */
function goBack(rollout: Rollout, observation: Observation, now: number): Decision {
  const count = (...states: AssignmentState[]) =>
    observation.steps.reduce(
      (sum, step) => sum + states.reduce((each, state) => each + (step.counts[state] ?? 0), 0),
      0,
    );
  const onRelease = count('VERIFYING', 'HEALTHY');
  if (onRelease > observation.withoutFallback) return accepted(rollout, [{ kind: 'rollBack' }], []);
  const unreturned = observation.withoutFallback + count('LOST');
  if (rollout.status === 'ROLLED_BACK') {
    return accepted(unreturned === rollout.unreturned ? rollout : { ...rollout, unreturned }, [], []);
  }
  if (count('ROLLING_BACK') > 0) return accepted(rollout, [], []);
  const note =
    unreturned === 0
      ? `Rolled back: ${count('ROLLED_BACK')} charger(s) run their fallback, none is left on ${rollout.release.version}.`
      : `Rolled back: ${count('ROLLED_BACK')} charger(s) run their fallback; ${unreturned} could not go back and are listed with the reason.`;
  return accepted({ ...to(rollout, 'ROLLED_BACK', now), unreturned }, [], [note]);
}
