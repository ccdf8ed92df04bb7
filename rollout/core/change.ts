import type { Approval, Decision, Evidence, Rollout, RolloutEffect, RolloutStatus, Step } from './types.ts';

export function accepted(rollout: Rollout, effects: RolloutEffect[], notes: string[]): Decision {
  return { ok: true, rollout, effects, notes };
}

export function to(rollout: Rollout, status: RolloutStatus, now: number): Rollout {
  return { ...rollout, status, statusSince: now };
}

/** The same rollout with its current step changed. */
export function withStep(rollout: Rollout, change: Partial<Step>): Rollout {
  const steps = rollout.steps.map((step, i) => (i === rollout.current ? { ...step, ...change } : step));
  return { ...rollout, steps };
}

export function currentStep(rollout: Rollout): Step | undefined {
  return rollout.steps[rollout.current];
}

/** `HALTED`, with its evidence. Binding at once: offers depend on the status, and `withdraw` skips what was not activated. */
export function halt(rollout: Rollout, evidence: Evidence, rollBackNext: boolean, now: number): Decision {
  const failed =
    currentStep(rollout)?.status === 'PASSED' ? rollout : withStep(rollout, { status: 'FAILED' });
  const halted = {
    ...to(failed, 'HALTED', now),
    evidence,
    rollBackNext,
    pausedBecause: null,
    holding: null,
  };
  const effects: RolloutEffect[] = [{ kind: 'withdraw' }];
  if (rollBackNext) effects.push({ kind: 'wake', at: now });
  return accepted(halted, effects, [`Halted. ${evidence.sentence}`]);
}

export function rollingBack(rollout: Rollout, now: number): Decision {
  const next = { ...to(rollout, 'ROLLING_BACK', now), rollBackNext: false };
  const note = `Every charger on ${rollout.release.version} is offered its signed fallback.`;
  return accepted(next, [{ kind: 'rollBack' }], [note]);
}

/** Design §4: approvals come from people other than the author, and two approvals are two people. */
export function approve(
  rollout: Rollout,
  approvals: Approval[],
  by: string,
  reason: string,
  now: number,
): { ok: true; approvals: Approval[] } | (Decision & { ok: false }) {
  if (by === rollout.author) {
    const detail = `${by} wrote this rollout. Somebody else must approve it.`;
    return { ok: false, code: 'AUTHOR_CANNOT_APPROVE', detail };
  }
  // Else one person alone would overrule what halted it.
  if (by === rollout.sentForwardBy) {
    const detail = `${by} sent this rollout forward again. Somebody else must approve it.`;
    return { ok: false, code: 'AUTHOR_CANNOT_APPROVE', detail };
  }
  if (approvals.some((approval) => approval.by === by)) {
    return { ok: false, code: 'ALREADY_APPROVED', detail: `${by} has approved this already.` };
  }
  return { ok: true, approvals: [...approvals, { by, at: now, reason }] };
}
