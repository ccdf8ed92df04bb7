import { accepted, approve, currentStep, halt, rollingBack, to, withStep } from './change.ts';
import type { Decision, Rollout, RolloutEvent, RolloutStatus } from './types.ts';

type PersonEvent = Exclude<RolloutEvent, { kind: 'tick' }>;

/** What people ask for. Who may ask is the service's business; what it means is decided here. */
export function byPerson(rollout: Rollout, event: PersonEvent, now: number): Decision {
  switch (event.kind) {
    case 'submit':
      return submit(rollout, event, now);
    case 'approve':
      return rollout.status === 'AWAITING_APPROVAL'
        ? approvePlan(rollout, event, now)
        : approveGate(rollout, event, now);
    case 'pause':
      return pause(rollout, event, now);
    case 'resume':
      return resume(rollout, event, now);
    case 'halt':
      return haltByPerson(rollout, event, false, now);
    case 'rollback':
      return rollBack(rollout, event, now);
    case 'cancel':
      return cancel(rollout, event, now);
  }
}

/** From `DRAFT`, or from `HALTED` to go forward after all: then with fresh approvals, and its step opens anew with a gate of its own. */
function submit(rollout: Rollout, event: PersonEvent, now: number): Decision {
  if (!isIn(rollout, 'DRAFT', 'HALTED') || rollout.rollBackNext) return wrongStatus(rollout, event);
  const sentForward = rollout.status === 'HALTED' ? { sentForwardBy: event.by } : {};
  const waiting = { ...to(rollout, 'AWAITING_APPROVAL', now), approvals: [], ...sentForward };
  const note = `Submitted by ${event.by}: ${event.reason}`;
  // Forward from a halt always takes a second person, whatever the plan asks for.
  return approvalsNeeded(waiting) === 0
    ? schedule(waiting, [note], now)
    : accepted(waiting, [], [note, `It waits for ${approvalsNeeded(waiting)} approval(s).`]);
}

function approvePlan(rollout: Rollout, event: PersonEvent, now: number): Decision {
  const result = approve(rollout, rollout.approvals, event.by, event.reason, now);
  if (!result.ok) return result;
  const approved = { ...rollout, approvals: result.approvals };
  const note = `${event.by} approved the plan: ${event.reason}`;
  return result.approvals.length >= approvalsNeeded(rollout)
    ? schedule(approved, [note], now)
    : accepted(approved, [], [note]);
}

function schedule(rollout: Rollout, notes: string[], now: number): Decision {
  const at = Math.max(now, rollout.plan.startAt ?? now);
  // What halted it was overruled by people; only later evidence halts it again.
  const judgedFrom = rollout.evidence === null ? rollout.judgedFrom : now;
  return accepted({ ...to(rollout, 'SCHEDULED', now), judgedFrom }, [{ kind: 'wake', at }], notes);
}

function approveGate(rollout: Rollout, event: PersonEvent, now: number): Decision {
  const step = currentStep(rollout);
  if (rollout.status !== 'RUNNING' || step?.status !== 'GATE') {
    const detail = `Nothing waits for an approval: the rollout is ${rollout.status}.`;
    return { ok: false, code: 'NOTHING_TO_APPROVE', detail };
  }
  const result = approve(rollout, step.approvals, event.by, event.reason, now);
  if (!result.ok) return result;
  const note = `${event.by} approved the gate after ${step.name}: ${event.reason}`;
  const wake = { kind: 'wake' as const, at: now };
  return accepted(withStep(rollout, { approvals: result.approvals }), [wake], [note]);
}

function pause(rollout: Rollout, event: PersonEvent, now: number): Decision {
  if (!isIn(rollout, 'RUNNING')) return wrongStatus(rollout, event);
  const pausedBecause = `${event.by}: ${event.reason}`;
  return accepted({ ...to(rollout, 'PAUSED', now), pausedBecause }, [], [`Paused by ${pausedBecause}`]);
}

function resume(rollout: Rollout, event: PersonEvent, now: number): Decision {
  if (!isIn(rollout, 'PAUSED')) return wrongStatus(rollout, event);
  // The step keeps its state: what soaked soaks on, and a gate is still a gate. Whether it is held is found out anew.
  // Whoever resumes has seen which chargers the evidence hung on.
  const { chargers } = rollout.noticed;
  const noticed = chargers === undefined ? rollout.noticed : { ...rollout.noticed, overlooked: chargers };
  const running = { ...to(rollout, 'RUNNING', now), pausedBecause: null, holding: null, noticed };
  const note = `Resumed by ${event.by}: ${event.reason}`;
  return accepted(running, [{ kind: 'wake', at: now }], [note]);
}

function haltByPerson(rollout: Rollout, event: PersonEvent, rollBackNext: boolean, now: number): Decision {
  if (!isIn(rollout, 'RUNNING', 'PAUSED', 'COMPLETED')) return wrongStatus(rollout, event);
  const { by, reason } = event;
  const sentence = `Ordered by ${by}: ${reason}`;
  return halt(rollout, { at: now, kind: 'person', sentence, by, reason }, rollBackNext, now);
}

function rollBack(rollout: Rollout, event: PersonEvent, now: number): Decision {
  if (!isIn(rollout, 'HALTED')) return haltByPerson(rollout, event, true, now);
  const decision = rollingBack(rollout, now);
  if (decision.ok) decision.notes.unshift(`Rollback ordered by ${event.by}: ${event.reason}`);
  return decision;
}

/** Before it ran it is over; a halted rollout that was to go forward is `HALTED` again. */
function cancel(rollout: Rollout, event: PersonEvent, now: number): Decision {
  if (!isIn(rollout, 'DRAFT', 'AWAITING_APPROVAL', 'SCHEDULED')) return wrongStatus(rollout, event);
  const status = rollout.evidence === null ? 'CANCELLED' : 'HALTED';
  return accepted(
    { ...to(rollout, status, now), holding: null },
    [],
    [`Cancelled by ${event.by}: ${event.reason}`],
  );
}

function approvalsNeeded(rollout: Rollout): number {
  return rollout.evidence === null ? rollout.plan.approvals : Math.max(1, rollout.plan.approvals);
}

function isIn(rollout: Rollout, ...statuses: RolloutStatus[]): boolean {
  return statuses.includes(rollout.status);
}

function wrongStatus(rollout: Rollout, event: PersonEvent): Decision {
  const detail = `A rollout that is ${rollout.status} cannot take "${event.kind}".`;
  return { ok: false, code: 'WRONG_STATUS', detail };
}
