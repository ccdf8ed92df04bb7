import type { Signal } from '@tidegate/client-sdk/protocol';
import { enoughExposure } from '@tidegate/rollout/health';
import { accepted, currentStep, to, withStep } from './change.ts';
import { membersOf, tolerated } from './stop.ts';
import type { Decision, Hold, Observation, Rollout, SignalBin, Step } from './types.ts';

const HOUR = 3_600_000;

/** Moves the current step along: `OPEN → SOAKING → GATE → PASSED`, then the next step. At most one move a tick. */
export function advance(rollout: Rollout, observation: Observation, now: number): Decision {
  const step = currentStep(rollout);
  switch (step?.status) {
    case 'OPEN':
      return soak(rollout, step, observation, now);
    case 'SOAKING':
      return reachGate(rollout, step, observation, now);
    case 'GATE':
      return passGate(rollout, step, now);
    default:
      return accepted(rollout, [], []);
  }
}

/** Opens a step, and has its cohort drawn. */
export function openStep(rollout: Rollout, index: number, now: number): Decision {
  const opened = withStep(
    { ...rollout, current: index, holding: null, noticed: { ...rollout.noticed, failed: 0 } },
    { status: 'OPEN', openedAt: now, soakingSince: null, gateSince: null, passedAt: null, approvals: [] },
  );
  const step = currentStep(opened);
  const note = `${step?.name} opens with ${step?.size} charger(s).`;
  return accepted(opened, [{ kind: 'draw', step: index }], [note]);
}

/** Written is not healthy: only committed chargers count. Design §4 */
function soak(rollout: Rollout, step: Step, observation: Observation, now: number): Decision {
  const counts = observation.steps[rollout.current]?.counts ?? {};
  const members = membersOf(counts);
  if (members === 0) return drawAgain(rollout, step);
  if (rollout.holding !== null) return accepted({ ...rollout, holding: null }, [], []);
  // Failures that a person has seen and resumed over no longer hold the step.
  const needed = Math.min(
    Math.ceil(members * rollout.plan.healthyShare - 1e-9),
    members - Math.max(tolerated(rollout, members), rollout.noticed.failed),
  );
  const healthy = counts.HEALTHY ?? 0;
  if (healthy < Math.max(1, needed)) return accepted(rollout, [], []);
  const soaking = withStep(rollout, { status: 'SOAKING', soakingSince: now });
  const { hours, chargerHours } = step.soak;
  const note = `${step.name} soaks: ${healthy} of ${members} healthy; ${hours} h and ${round(chargerHours)} charger-hours are needed.`;
  return accepted(soaking, [{ kind: 'wake', at: now + hours * HOUR }], [note]);
}

/** Time and exposure, and something to compare with: no evidence is a hold, never a pass. Design §5 */
function reachGate(rollout: Rollout, step: Step, observation: Observation, now: number): Decision {
  const since = step.soakingSince ?? now;
  if (now < since + step.soak.hours * HOUR) return accepted(rollout, [], []);
  const holding = reasonToHold(rollout, step, observation, since);
  if (holding !== null) return hold(rollout, step, holding);
  const atGate = withStep({ ...rollout, holding: null }, { status: 'GATE', gateSince: now });
  const waits =
    step.approvalsNeeded > 0 ? `It waits for ${step.approvalsNeeded} approval(s).` : 'It needs no approval.';
  return accepted(atGate, [{ kind: 'wake', at: now }], [`${step.name} has soaked. ${waits}`]);
}

/** Once for each time that it turns out to be empty: when it has just been drawn, and when somebody resumes it. */
function drawAgain(rollout: Rollout, step: Step): Decision {
  const held = hold(rollout, step, 'NOBODY');
  if (held.ok && held.rollout !== rollout) held.effects.push({ kind: 'draw', step: rollout.current });
  return held;
}

/** Says so once. */
function hold(rollout: Rollout, step: Step, holding: Hold): Decision {
  if (holding === rollout.holding) return accepted(rollout, [], []);
  return accepted({ ...rollout, holding }, [], [`${step.name} is held: ${HOLDS[holding]}`]);
}

const HOLDS: Record<Hold, string> = {
  NOBODY:
    'it could draw no charger that is not retired, on the release already, or busy in another rollout. Resume it to draw again.',
  EXPOSURE: 'its soak time is over, but its chargers have not reported enough charger-hours.',
  CONTROL:
    'for most of what its chargers reported, no charger without the release reported at the same time to compare with.',
};

function reasonToHold(rollout: Rollout, step: Step, observation: Observation, since: number): Hold | null {
  const treatedChargerHours = observation.steps[rollout.current]?.treatedChargerHours ?? 0;
  if (!enoughExposure(step.soak, treatedChargerHours)) return 'EXPOSURE';
  // The hold-back is the control: with it there is nobody left to compare with, and it is not asked for.
  if (step.kind === 'holdBack') return null;
  const binLength = rollout.plan.detector.binMinutes * 60_000;
  return wasCompared(observation.bins.filter((bin) => bin.from + binLength > since)) ? null : 'CONTROL';
}

/** Whether, for some signal, at least half of the treated exposure stands beside control exposure of the same bin. */
function wasCompared(bins: SignalBin[]): boolean {
  const compared = new Map<Signal, { beside: number; all: number }>();
  for (const { signal, treatedExposure, controlExposure } of bins) {
    const sum = compared.get(signal) ?? { beside: 0, all: 0 };
    sum.all += treatedExposure;
    if (controlExposure > 0) sum.beside += treatedExposure;
    compared.set(signal, sum);
  }
  return [...compared.values()].some(({ beside, all }) => beside > 0 && beside >= all / 2);
}

/** Invariant 5: only here does a next step open, in a tick whose evidence has just been judged. */
function passGate(rollout: Rollout, step: Step, now: number): Decision {
  if (step.approvals.length < step.approvalsNeeded) return accepted(rollout, [], []);
  const passed = withStep(rollout, { status: 'PASSED', passedAt: now });
  const note = `${step.name} passed its gate.`;
  const next = rollout.current + 1;
  if (next < rollout.steps.length) {
    const opened = openStep(passed, next, now);
    if (opened.ok) opened.notes.unshift(note);
    return opened;
  }
  const completed = to(passed, 'COMPLETED', now);
  const end = now + rollout.plan.watchHours * HOUR;
  const watched = `Completed. It stays watched for ${rollout.plan.watchHours} h.`;
  return accepted(completed, [{ kind: 'wake', at: end }], [note, watched]);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
