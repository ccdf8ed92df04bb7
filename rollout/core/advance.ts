import type { Signal } from '@tidegate/client-sdk/protocol';
import { enoughExposure } from '@tidegate/rollout/health';
import { accepted, currentStep, to, withStep } from './change.ts';
import { membersOf, tolerated } from './stop.ts';
import { expiringIn, type Opening, openingOf, sentenceOfExpiring } from './opening.ts';
import type { Decision, Expiring, Hold, Life, Observation, Rollout, SignalBin, Step } from './types.ts';

const HOUR = 3_600_000;
/** How often a step that is empty is drawn again. */
const REDRAW_EVERY = HOUR;

/** Moves the current step along: `OPEN → SOAKING → GATE → PASSED`, then the next step. At most one move a tick. */
export function advance(
  rollout: Rollout,
  observation: Observation,
  lives: readonly Life[],
  now: number,
): Decision {
  const step = currentStep(rollout);
  switch (step?.status) {
    case 'OPEN':
      return soak(rollout, step, observation, now);
    case 'SOAKING':
      return reachGate(rollout, step, observation, now);
    case 'GATE':
      return passGate(rollout, step, lives, now);
    default:
      return accepted(rollout, [], []);
  }
}

/** Opens a step, and has its cohort drawn. */
export function openStep(rollout: Rollout, index: number, now: number): Decision {
  const { expiring: _, ...free } = rollout;
  const opened = withStep(
    { ...free, current: index, holding: null, noticed: { ...rollout.noticed, failed: 0 } },
    {
      status: 'OPEN',
      openedAt: now,
      soakingSince: null,
      gateSince: null,
      passedAt: null,
      approvals: [],
      drawnAt: now,
      skippedBecause: null,
    },
  );
  const step = currentStep(opened);
  const note = `${step?.name} opens with ${step?.size} charger(s).`;
  return accepted(opened, [{ kind: 'draw', step: index }], [note]);
}

/** The same rollout, held before its next step; undefined where nothing would expire too early. Says so once for each reason. */
export function keepClosed(rollout: Rollout, opening: Opening, lives: readonly Life[]): Decision | undefined {
  const expiring = expiringIn(rollout, opening, lives);
  if (expiring.length === 0) return undefined;
  const told = rollout.holding === 'EXPIRING' ? (rollout.expiring ?? []) : [];
  const isTold = (one: Expiring) => told.some((other) => nameOf(other) === nameOf(one));
  const known = expiring.length === told.length && expiring.every(isTold);
  if (known) return accepted(rollout, [], []);
  const name = rollout.steps[opening.step]?.name;
  const notes = expiring
    .filter((one) => !isTold(one))
    .map((one) => `${name} does not open: ${HOLDS.EXPIRING} ${sentenceOfExpiring(one, iso)}`);
  return accepted({ ...rollout, holding: 'EXPIRING', expiring }, [], notes);
}

function nameOf({ kind, subject, expires }: Expiring): string {
  return `${kind} ${subject} ${expires}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** Written is not healthy: only committed chargers count. Design §4 */
function soak(rollout: Rollout, step: Step, observation: Observation, now: number): Decision {
  const counts = observation.steps[rollout.current]?.counts ?? {};
  const members = membersOf(counts);
  if (members === 0) return withoutMembers(rollout, step, now);
  if (rollout.holding !== null) return accepted({ ...rollout, holding: null }, [], []);
  const healthy = counts.HEALTHY ?? 0;
  if (healthy < healthyNeeded(rollout, members)) return accepted(rollout, [], []);
  const soaking = withStep(rollout, { status: 'SOAKING', soakingSince: now });
  const { hours, chargerHours } = step.soak;
  const note = `${step.name} soaks: ${healthy} of ${members} healthy; ${hours} h and ${round(chargerHours)} charger-hours are needed.`;
  return accepted(soaking, [{ kind: 'wake', at: now + hours * HOUR }], [note]);
}

/** Chargers of the current step that must be healthy before it soaks. */
export function healthyNeeded(rollout: Rollout, members: number): number {
  // Failures that a person has seen and resumed over no longer hold the step.
  const needed = Math.min(
    Math.ceil(members * rollout.plan.healthyShare - 1e-9),
    members - Math.max(tolerated(rollout, members), rollout.noticed.failed),
  );
  return Math.max(1, needed);
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

/**
 * A step that could draw nobody: chargers enrol, and other rollouts let theirs go, so it draws again each hour. A step that is still
 * empty after the time that any charger has for the release is skipped. Never the canary: what comes after it would run unproved.
 */
function withoutMembers(rollout: Rollout, step: Step, now: number): Decision {
  const known = rollout.holding === 'NOBODY';
  const given = (step.openedAt ?? now) + rollout.plan.deadlineHours * HOUR;
  if (known && rollout.current > 0 && now >= given) return skip(rollout, step, now);
  if (known && now < (step.drawnAt ?? 0) + REDRAW_EVERY) return accepted(rollout, [], []);
  const drawn = withStep({ ...rollout, holding: 'NOBODY' }, { drawnAt: now });
  const notes = known ? [] : [`${step.name} is held: ${HOLDS.NOBODY}`];
  return accepted(drawn, [{ kind: 'draw', step: rollout.current }], notes);
}

/** To its gate, not past it: the approvals that it needs are still needed. Invariant 5 */
function skip(rollout: Rollout, step: Step, now: number): Decision {
  const skippedBecause = `It drew nobody within ${rollout.plan.deadlineHours} h.`;
  const change = { status: 'GATE' as const, gateSince: now, skippedBecause };
  const skipped = withStep({ ...rollout, holding: null }, change);
  return accepted(skipped, [{ kind: 'wake', at: now }], [`${step.name} is skipped. ${skippedBecause}`]);
}

/** Says so once. */
function hold(rollout: Rollout, step: Step, holding: Hold): Decision {
  if (holding === rollout.holding) return accepted(rollout, [], []);
  return accepted({ ...rollout, holding }, [], [`${step.name} is held: ${HOLDS[holding]}`]);
}

const HOLDS: Record<Hold, string> = {
  NOBODY:
    'it could draw no charger that is not retired, on the release already, or busy in another rollout. It draws again each hour.',
  EXPOSURE: 'its soak time is over, but its chargers have not reported enough charger-hours.',
  CONTROL:
    'for most of what its chargers reported, no charger without the release reported at the same time to compare with.',
  EXPIRING: 'what it depends on would expire.',
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
function passGate(rollout: Rollout, step: Step, lives: readonly Life[], now: number): Decision {
  if (step.approvals.length < step.approvalsNeeded) return accepted(rollout, [], []);
  const opening = openingOf(rollout, now);
  const closed = opening === null ? undefined : keepClosed(rollout, opening, lives);
  if (closed !== undefined) return closed;
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
