import { healthyNeeded } from './advance.ts';
import { currentStep } from './change.ts';
import { IN_FLIGHT } from './states.ts';
import { membersOf } from './stop.ts';
import { sentenceOfExpiring } from './opening.ts';
import type { AssignmentState, Expiring, Observation, Rollout, Step } from './types.ts';

const HOUR = 3_600_000;

/**
 * What has to happen before a rollout goes on by itself. Times in ms.
 * - `START`: its start time.
 * - `APPROVALS`: people other than the author, for the plan or for the gate after a step.
 * - `PERSON`: somebody who resumes it, or decides what becomes of it after a halt.
 * - `CHARGERS`: an empty step, to draw somebody; from `skipAt` on it is skipped, and the canary (null) is not.
 * - `HEALTHY`: an open step, for enough healthy chargers.
 * - `TIME`, `EXPOSURE`, `CONTROL`: a soaking step, for its hours, its reported charger-hours, and something to compare with.
 * - `RENEWAL`: the next step, for what would expire while it soaks and is watched.
 * - `RETURN`: a rollback, for chargers on their way.
 */
export type Waiting =
  | { kind: 'START'; at: number }
  | { kind: 'APPROVALS'; of: string; have: number; need: number }
  | { kind: 'PERSON'; to: 'resume' | 'go forward or roll back' }
  | { kind: 'CHARGERS'; step: string; skipAt: number | null }
  | {
      kind: 'HEALTHY';
      step: string;
      healthy: number;
      need: number;
      /** Not offered yet. */
      pending: number;
      /** Between offer and health. */
      underWay: number;
    }
  | { kind: 'TIME'; step: string; until: number }
  | { kind: 'EXPOSURE'; step: string; have: number; need: number }
  | { kind: 'CONTROL'; step: string }
  | { kind: 'RENEWAL'; step: string; of: Expiring }
  | { kind: 'RETURN'; underWay: number };

/** What this rollout waits for now; empty when it is over. */
export function waitsFor(rollout: Rollout, observation: Observation): Waiting[] {
  switch (rollout.status) {
    case 'SCHEDULED':
      if (rollout.holding === 'EXPIRING')
        return renewals(rollout, rollout.steps[Math.max(0, rollout.current)]);
      return [{ kind: 'START', at: rollout.plan.startAt ?? rollout.statusSince }];
    case 'AWAITING_APPROVAL':
      // Forward from a halt always takes a second person.
      return approvals('the plan', rollout.approvals.length, Math.max(1, rollout.plan.approvals));
    case 'PAUSED':
      return [{ kind: 'PERSON', to: 'resume' }];
    case 'RUNNING':
      return ofStep(rollout, observation);
    case 'HALTED':
      return rollout.rollBackNext ? [] : [{ kind: 'PERSON', to: 'go forward or roll back' }];
    case 'ROLLING_BACK':
      return [{ kind: 'RETURN', underWay: total(observation, 'ROLLING_BACK', 'VERIFYING') }];
    case 'DRAFT':
    case 'COMPLETED':
    case 'ROLLED_BACK':
    case 'CANCELLED':
      return [];
  }
}

/** @param time how times are written. */
export function sentenceOfWaiting(waiting: Waiting, time: (ms: number) => string): string {
  switch (waiting.kind) {
    case 'START':
      return `It starts at ${time(waiting.at)}.`;
    case 'APPROVALS':
      return `${waiting.of} has ${waiting.have} of ${waiting.need} approvals.`;
    case 'PERSON':
      return `It waits for somebody to ${waiting.to}.`;
    case 'CHARGERS':
      return waiting.skipAt === null
        ? `${waiting.step} has drawn nobody, and draws again each hour.`
        : `${waiting.step} has drawn nobody, and draws again each hour; it is skipped at ${time(waiting.skipAt)}.`;
    case 'HEALTHY': {
      const { step, healthy, need, pending, underWay } = waiting;
      return `${step} has ${healthy} of the ${need} healthy chargers that it needs; ${pending} are not offered yet, ${underWay} are under way.`;
    }
    case 'TIME':
      return `${waiting.step} soaks until ${time(waiting.until)}.`;
    case 'EXPOSURE':
      return `${waiting.step} has ${waiting.have.toFixed(1)} of ${waiting.need.toFixed(1)} reported charger-hours.`;
    case 'CONTROL':
      return `${waiting.step} needs reports of chargers without the release, to compare with.`;
    case 'RENEWAL':
      return `${waiting.step} does not open. ${sentenceOfExpiring(waiting.of, time)}`;
    case 'RETURN':
      return `${waiting.underWay} chargers are on their way back.`;
  }
}

function ofStep(rollout: Rollout, observation: Observation): Waiting[] {
  const step = currentStep(rollout);
  const observed = observation.steps[rollout.current];
  switch (step?.status) {
    case 'OPEN':
      return [toSoak(rollout, step, observed?.counts ?? {})];
    case 'SOAKING':
      return toGate(rollout, step, observed?.treatedChargerHours ?? 0);
    case 'GATE':
      return [
        ...approvals(`The gate after ${step.name}`, step.approvals.length, step.approvalsNeeded),
        ...renewals(rollout, rollout.steps[rollout.current + 1]),
      ];
    default:
      return [];
  }
}

function toSoak(rollout: Rollout, step: Step, counts: Partial<Record<AssignmentState, number>>): Waiting {
  const members = membersOf(counts);
  if (members === 0) {
    const given = (step.openedAt ?? rollout.statusSince) + rollout.plan.deadlineHours * HOUR;
    return { kind: 'CHARGERS', step: step.name, skipAt: rollout.current > 0 ? given : null };
  }
  return {
    kind: 'HEALTHY',
    step: step.name,
    healthy: counts.HEALTHY ?? 0,
    need: healthyNeeded(rollout, members),
    pending: counts.PENDING ?? 0,
    underWay: IN_FLIGHT.reduce((sum, state) => sum + (counts[state] ?? 0), 0),
  };
}

function toGate(rollout: Rollout, { name, soak, soakingSince }: Step, have: number): Waiting[] {
  const waits: Waiting[] = [];
  const until = (soakingSince ?? rollout.statusSince) + soak.hours * HOUR;
  // Once its time is over it is held for something else, or on its way to the gate.
  if (rollout.holding === null) waits.push({ kind: 'TIME', step: name, until });
  if (have < soak.chargerHours) waits.push({ kind: 'EXPOSURE', step: name, have, need: soak.chargerHours });
  if (rollout.holding === 'CONTROL') waits.push({ kind: 'CONTROL', step: name });
  return waits;
}

function approvals(of: string, have: number, need: number): Waiting[] {
  return have < need ? [{ kind: 'APPROVALS', of, have, need }] : [];
}

function renewals({ holding, expiring = [] }: Rollout, next: Step | undefined): Waiting[] {
  if (holding !== 'EXPIRING') return [];
  return expiring.map((of) => ({ kind: 'RENEWAL', step: next?.name ?? '', of }));
}

function total({ steps }: Observation, ...states: AssignmentState[]): number {
  return steps.reduce(
    (sum, { counts }) => sum + states.reduce((each, state) => each + (counts[state] ?? 0), 0),
    0,
  );
}
