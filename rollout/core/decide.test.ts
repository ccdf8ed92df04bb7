import { describe, expect, it } from 'vitest';
import { decide } from './decide.ts';
import { bin, draft, drive, HOUR, must, observation, running, thriving } from './testing.ts';
import { dueAt } from './tick.ts';
import type { Observation, Rollout, RolloutEvent } from './types.ts';

const person = (
  kind: 'submit' | 'approve' | 'pause' | 'resume' | 'halt' | 'rollback' | 'cancel',
  by = 'bob',
) => ({ kind, by, reason: 'because' }) satisfies RolloutEvent;
const tick = (given: Observation = observation()): RolloutEvent => ({ kind: 'tick', observation: given });
const codeOf = (rollout: Rollout, event: RolloutEvent) => {
  const decision = decide(rollout, event, 0);
  return decision.ok ? 'ok' : decision.code;
};
const stepStatus = (rollout: Rollout) => rollout.steps[rollout.current]?.status;
const atGate = () => drive(running(), 0, (rollout) => stepStatus(rollout) === 'GATE', null);
const withCounts = (counts: Observation['steps'][number]['counts']) =>
  observation({ steps: [{ counts, treatedChargerHours: 0 }] });
const NOTHING = { counts: {}, treatedChargerHours: 0 };
const harmful = (now: number) => observation({ bins: [bin(now, 60, 10)] });

describe('approvals', () => {
  it('come from others than the author, once a person, and only where one is asked for', () => {
    const submitted = must(draft({ approvals: 2 }), person('submit', 'alice'), 0).rollout;
    expect(codeOf(submitted, person('approve', 'alice'))).toBe('AUTHOR_CANNOT_APPROVE');
    const once = must(submitted, person('approve', 'bob'), 0).rollout;
    expect(once.status).toBe('AWAITING_APPROVAL');
    expect(codeOf(once, person('approve', 'bob'))).toBe('ALREADY_APPROVED');
    const twice = must(once, person('approve', 'carol'), 0).rollout;
    expect(twice.status).toBe('SCHEDULED');
    expect(codeOf(running(), person('approve'))).toBe('NOTHING_TO_APPROVE');
  });

  it('hold for a gate as for the plan', () => {
    const { rollout, now } = atGate();
    expect(codeOf(rollout, person('approve', 'alice'))).toBe('AUTHOR_CANNOT_APPROVE');
    const waiting = must(rollout, tick(thriving(rollout, now)), now).rollout;
    expect(waiting).toBe(rollout);
    const approved = must(rollout, person('approve'), now);
    // Only a tick, with fresh evidence, opens the next step.
    expect(stepStatus(approved.rollout)).toBe('GATE');
    expect(approved.effects).toEqual([{ kind: 'wake', at: now }]);
    const passed = must(approved.rollout, tick(thriving(rollout, now)), now);
    expect(passed.rollout.current).toBe(1);
    expect(passed.effects).toEqual([{ kind: 'draw', step: 1 }]);
  });

  it('at a gate do not outlive what its approver could not know', () => {
    const { rollout, now } = atGate();
    const approved = must(rollout, person('approve'), now).rollout;
    const hard = { ...thriving(rollout, now), hard: { chargers: 1, sites: 1, code: 'bootLoop' } };
    const paused = must(approved, tick(hard), now).rollout;
    expect(paused.status).toBe('PAUSED');
    const resumed = must(paused, person('resume', 'carol'), now).rollout;
    const next = must(resumed, tick(hard), now).rollout;
    expect([next.current, stepStatus(next)]).toEqual([0, 'GATE']);
  });
});

describe('the way forward', () => {
  it('goes step by step to COMPLETED, the hold-back last', () => {
    const { rollout } = drive(running(), 0, (each) => each.status === 'COMPLETED');
    expect(rollout.steps.map((step) => [step.kind, step.status])).toEqual([
      ['canary', 'PASSED'],
      ['wave', 'PASSED'],
      ['holdBack', 'PASSED'],
    ]);
  });

  it('waits for its start time', () => {
    const submitted = must(draft({ approvals: 0, startAt: 5 * HOUR }), person('submit', 'alice'), 0);
    expect(submitted.effects).toEqual([{ kind: 'wake', at: 5 * HOUR }]);
    expect(must(submitted.rollout, tick(), 4 * HOUR).rollout.status).toBe('SCHEDULED');
    expect(must(submitted.rollout, tick(), 5 * HOUR).rollout.status).toBe('RUNNING');
  });

  it('soaks only once enough of the step is healthy, not merely written', () => {
    const installed = must(running(), tick(withCounts({ HEALTHY: 2, VERIFYING: 2 })), HOUR).rollout;
    expect(stepStatus(installed)).toBe('OPEN');
    const healthy = must(running(), tick(withCounts({ HEALTHY: 3, VERIFYING: 1 })), HOUR).rollout;
    expect(stepStatus(healthy)).toBe('SOAKING');
  });

  it('does not soak on nobody: it is held, says so once, and draws again each hour and when it is resumed', () => {
    for (const nobody of [{}, { SKIPPED: 4 }]) {
      const held = must(running(), tick(withCounts(nobody)), HOUR);
      expect([stepStatus(held.rollout), held.rollout.holding]).toEqual(['OPEN', 'NOBODY']);
      expect([held.notes.length, held.effects]).toEqual([1, [{ kind: 'draw', step: 0 }]]);
      const soon = must(held.rollout, tick(withCounts(nobody)), 2 * HOUR - 1);
      expect([soon.rollout, soon.notes, soon.effects]).toEqual([held.rollout, [], []]);
      const again = must(held.rollout, tick(withCounts(nobody)), 2 * HOUR);
      expect([again.notes, again.effects]).toEqual([[], [{ kind: 'draw', step: 0 }]]);
      const paused = must(again.rollout, person('pause'), 2 * HOUR).rollout;
      const resumed = must(paused, person('resume'), 2 * HOUR);
      const redrawn = must(resumed.rollout, tick(withCounts(nobody)), 2 * HOUR);
      expect(redrawn.effects).toContainEqual({ kind: 'draw', step: 0 });
      const found = must(redrawn.rollout, tick(withCounts({ ...nobody, PENDING: 2 })), 3 * HOUR).rollout;
      expect([stepStatus(found), found.holding]).toEqual(['OPEN', null]);
    }
  });

  it('never wedges on an empty wave: after the deadline it is skipped, to its gate; the canary is not', () => {
    const gated = { waves: [{ size: { count: 10 }, approvals: 1 }], deadlineHours: 5 };
    const wave = drive(running(gated), 0, (each) => each.current === 1);
    const at = wave.rollout.steps[1]?.openedAt ?? NaN;
    const nobody = (rollout: Rollout) => tick(observation({ steps: rollout.steps.map(() => NOTHING) }));
    const held = must(wave.rollout, nobody(wave.rollout), at).rollout;
    const still = must(held, nobody(held), at + 5 * HOUR - 1).rollout;
    expect([stepStatus(still), still.holding]).toEqual(['OPEN', 'NOBODY']);
    const skipped = must(held, nobody(held), at + 5 * HOUR);
    expect(skipped.rollout).toMatchObject({ current: 1, holding: null });
    expect(skipped.rollout.steps[1]).toMatchObject({ status: 'GATE', soakingSince: null });
    expect([skipped.rollout.steps[1]?.skippedBecause, skipped.notes]).toEqual([
      expect.any(String),
      [expect.any(String)],
    ]);
    // Its gate is a gate all the same.
    const waiting = must(skipped.rollout, nobody(held), at + 6 * HOUR).rollout;
    expect([waiting.current, stepStatus(waiting)]).toEqual([1, 'GATE']);
    const approved = must(waiting, person('approve'), at + 6 * HOUR).rollout;
    expect(must(approved, nobody(held), at + 6 * HOUR).rollout.current).toBe(2);

    const canary = must(running({ deadlineHours: 5 }), tick(withCounts({})), HOUR).rollout;
    const waited = must(canary, tick(withCounts({})), 500 * HOUR);
    expect([stepStatus(waited.rollout), waited.effects]).toEqual(['OPEN', [{ kind: 'draw', step: 0 }]]);
  });

  it('does not skip a wave on what was drawn before a pause', () => {
    const wave = drive(running({ deadlineHours: 5 }), 0, (each) => each.current === 1).rollout;
    const nobody = tick(observation());
    const at = wave.steps[1]?.openedAt ?? NaN;
    const paused = must(must(wave, nobody, at).rollout, person('pause'), at).rollout;
    const resumed = must(paused, person('resume'), at + 9 * HOUR).rollout;
    const looked = must(resumed, nobody, at + 9 * HOUR);
    expect([stepStatus(looked.rollout), looked.effects]).toEqual(['OPEN', [{ kind: 'draw', step: 1 }]]);
  });

  it('soaks on fewer than planned, and needs the planned exposure of them', () => {
    const soaking = must(running(), tick(withCounts({ HEALTHY: 2, SKIPPED: 1 })), 0).rollout;
    expect(stepStatus(soaking)).toBe('SOAKING');
    const halfReported = {
      ...thriving(soaking, 10 * HOUR),
      steps: [{ counts: { HEALTHY: 2 }, treatedChargerHours: 10 }],
    };
    expect(must(soaking, tick(halfReported), 10 * HOUR).rollout.holding).toBe('EXPOSURE');
  });

  it('needs time, exposure and a control; each missing one holds', () => {
    const soaking = must(running(), tick(withCounts({ HEALTHY: 4 })), 0).rollout;
    const full = thriving(soaking, 9 * HOUR);
    expect(stepStatus(must(soaking, tick(full), 9.9 * HOUR).rollout)).toBe('SOAKING');
    const silent = { ...full, steps: [{ counts: { HEALTHY: 4 }, treatedChargerHours: 19.9 }] };
    const held = must(soaking, tick(silent), 10 * HOUR);
    expect(held.rollout.holding).toBe('EXPOSURE');
    expect(held.notes).toHaveLength(1);
    // It says so once.
    expect(must(held.rollout, tick(silent), 11 * HOUR).notes).toEqual([]);
    const alone = { ...full, bins: [{ ...bin(9 * HOUR, 1, 0), controlExposure: 0 }] };
    expect(must(soaking, tick(alone), 10 * HOUR).rollout.holding).toBe('CONTROL');
    const before = { ...full, bins: [bin(-2 * HOUR, 1, 5)] };
    expect(must(soaking, tick(before), 10 * HOUR).rollout.holding).toBe('CONTROL');
    const gate = must(held.rollout, tick(full), 12 * HOUR).rollout;
    expect([stepStatus(gate), gate.holding]).toEqual(['GATE', null]);
  });
});

describe('pausing', () => {
  it('on more failures than tolerated, and once only for the same figures', () => {
    const tolerated = must(running(), tick(withCounts({ HEALTHY: 1, FAILED: 1, PENDING: 2 })), HOUR).rollout;
    expect(tolerated.status).toBe('RUNNING');
    const failing = withCounts({ HEALTHY: 2, FAILED: 1, LOST: 1 });
    const paused = must(running(), tick(failing), HOUR).rollout;
    expect(paused.status).toBe('PAUSED');
    const resumed = must(paused, person('resume'), HOUR).rollout;
    const on = must(resumed, tick(failing), HOUR).rollout;
    // The two that work may soak, because a person saw the two that do not.
    expect([on.status, stepStatus(on)]).toEqual(['RUNNING', 'SOAKING']);
    const worse = must(on, tick(withCounts({ HEALTHY: 1, FAILED: 3 })), HOUR).rollout;
    expect(worse.status).toBe('PAUSED');
  });

  it("on one charger's hard event; it still takes note of worse while paused", () => {
    const hard = (chargers: number, sites: number) =>
      observation({ hard: { chargers, sites, code: 'bootLoop' } });
    const paused = must(running(), tick(hard(1, 1)), HOUR).rollout;
    expect(paused.status).toBe('PAUSED');
    const worse = must(paused, tick(hard(2, 1)), HOUR);
    expect([worse.rollout.status, worse.rollout.noticed.hardChargers]).toEqual(['PAUSED', 2]);
    const resumed = must(worse.rollout, person('resume'), HOUR).rollout;
    expect(must(resumed, tick(hard(2, 1)), HOUR).rollout.status).toBe('RUNNING');
    // Three chargers at one site may be one site's trouble.
    expect(must(resumed, tick(hard(3, 1)), HOUR).rollout.status).toBe('PAUSED');
    expect(must(resumed, tick(hard(3, 2)), HOUR).rollout.status).toBe('HALTED');
  });

  it('keeps the step where it is', () => {
    const { rollout, now } = atGate();
    const paused = must(rollout, person('pause'), now).rollout;
    expect(must(paused, tick(thriving(rollout, now)), now).rollout).toBe(paused);
    expect(codeOf(paused, person('approve'))).toBe('NOTHING_TO_APPROVE');
    const resumed = must(paused, person('resume'), now).rollout;
    expect([resumed.current, stepStatus(resumed)]).toEqual([0, 'GATE']);
  });
});

describe('halting', () => {
  const completed = () => drive(running(), 0, (each) => each.status === 'COMPLETED');

  it.each([
    ['RUNNING', () => ({ rollout: running(), now: HOUR })],
    ['PAUSED', () => ({ rollout: must(running(), person('pause'), 0).rollout, now: HOUR })],
    ['COMPLETED', completed],
  ])('from %s, by the detector: committed first, then rolled back by itself', (_, make) => {
    const { rollout, now } = make();
    const halted = must(rollout, tick(harmful(now)), now);
    expect(halted.rollout.status).toBe('HALTED');
    expect(halted.rollout.evidence).toMatchObject({ kind: 'detector', signal: 'fault' });
    expect(halted.effects).toEqual([{ kind: 'withdraw' }, { kind: 'wake', at: now }]);
    const back = must(halted.rollout, tick(harmful(now)), now);
    expect(back.rollout.status).toBe('ROLLING_BACK');
    expect(back.effects).toEqual([{ kind: 'rollBack' }]);
  });

  it('no longer after the watch', () => {
    const { rollout, now } = completed();
    const later = now + 25 * HOUR;
    expect(must(rollout, tick(harmful(later)), later).rollout).toBe(rollout);
  });

  it('by a person stays HALTED until a person says more', () => {
    const halted = must(running(), person('halt'), HOUR);
    expect(halted.effects).toEqual([{ kind: 'withdraw' }]);
    expect(must(halted.rollout, tick(harmful(HOUR)), HOUR).rollout).toBe(halted.rollout);
    expect(must(halted.rollout, person('rollback'), HOUR).rollout.status).toBe('ROLLING_BACK');
  });

  it('rollback by a person passes through HALTED too', () => {
    const halted = must(running(), person('rollback'), HOUR).rollout;
    expect(halted.status).toBe('HALTED');
    expect(must(halted, tick(), HOUR).rollout.status).toBe('ROLLING_BACK');
    expect(codeOf(halted, person('submit'))).toBe('WRONG_STATUS');
  });

  it('forward again needs a fresh approval, even where the plan needed none, and only new evidence counts', () => {
    const first = must(running({ approvals: 0 }), tick(harmful(0)), HOUR).rollout;
    const stopped = { ...first, rollBackNext: false };
    const waiting = must(stopped, person('submit', 'alice'), HOUR).rollout;
    expect([waiting.status, waiting.approvals]).toEqual(['AWAITING_APPROVAL', []]);
    expect(must(waiting, person('cancel'), HOUR).rollout.status).toBe('HALTED');
    const scheduled = must(waiting, person('approve'), HOUR).rollout;
    const again = must(scheduled, tick(harmful(0)), HOUR);
    expect([again.rollout.status, stepStatus(again.rollout)]).toEqual(['RUNNING', 'OPEN']);
    expect(again.effects).toEqual([{ kind: 'draw', step: 0 }]);
    expect(must(again.rollout, tick(harmful(0)), HOUR).rollout.status).toBe('RUNNING');
    expect(must(again.rollout, tick(harmful(HOUR)), 2 * HOUR).rollout.status).toBe('HALTED');
  });

  it('hard events that were overruled do not halt it twice', () => {
    const hard = (chargers: number) => observation({ hard: { chargers, sites: 2, code: 'bootLoop' } });
    const halted = must(running(), tick(hard(3)), HOUR).rollout;
    expect(halted.evidence?.kind).toBe('hardEvents');
    const waiting = must({ ...halted, rollBackNext: false }, person('submit', 'alice'), HOUR).rollout;
    const scheduled = must(waiting, person('approve'), HOUR).rollout;
    const again = must(scheduled, tick(hard(3)), HOUR).rollout;
    expect(must(again, tick(hard(3)), HOUR).rollout.status).toBe('RUNNING');
    expect(must(again, tick(hard(4)), HOUR).rollout.status).toBe('HALTED');
  });
});

describe('a halted step', () => {
  it('has failed, and opens anew with fresh approvals of its gate; a passed one stays passed', () => {
    const { rollout, now } = atGate();
    const approved = must(rollout, person('approve'), now).rollout;
    const halted = must(approved, person('halt'), now).rollout;
    expect(halted.steps[0]).toMatchObject({ status: 'FAILED', approvals: [{ by: 'bob' }] });
    const waiting = must(halted, person('submit', 'alice'), now).rollout;
    const scheduled = must(waiting, person('approve', 'carol'), now).rollout;
    const again = must(scheduled, tick(), now).rollout;
    expect(again.steps[0]).toMatchObject({ status: 'OPEN', approvals: [], soakingSince: null });
    const over = drive(running(), 0, (each) => each.status === 'COMPLETED');
    const stopped = must(over.rollout, person('halt'), over.now).rollout;
    expect(stopped.steps.map(({ status }) => status)).toEqual(['PASSED', 'PASSED', 'PASSED']);
  });

  it('the hold-back is compared with nobody: it is the control', () => {
    const { rollout, now } = drive(
      running(),
      0,
      (each) => each.current === 2 && stepStatus(each) === 'SOAKING',
    );
    const alone = { ...thriving(rollout, now + 2 * HOUR), bins: [] };
    expect(stepStatus(must(rollout, tick(alone), now + 2 * HOUR).rollout)).toBe('GATE');
  });

  it('never soaks on failures alone, however many a person has resumed over', () => {
    const all = tick(withCounts({ FAILED: 4 }));
    const paused = must(running(), all, HOUR).rollout;
    expect(paused.status).toBe('PAUSED');
    const resumed = must(paused, person('resume'), HOUR).rollout;
    expect(stepStatus(must(resumed, all, 2 * HOUR).rollout)).toBe('OPEN');
  });
});

describe('rolling back', () => {
  const rollingBack = () => must(must(running(), person('rollback'), 0).rollout, tick(), 0).rollout;

  it('is over when each treated charger is back or listed', () => {
    const rollout = rollingBack();
    const still = must(rollout, tick(withCounts({ ROLLING_BACK: 1, ROLLED_BACK: 3 })), HOUR).rollout;
    expect(still.status).toBe('ROLLING_BACK');
    const over = must(rollout, tick(withCounts({ ROLLED_BACK: 3, SKIPPED: 1 })), HOUR).rollout;
    expect([over.status, over.unreturned]).toEqual(['ROLLED_BACK', 0]);
    const listed = { ...withCounts({ ROLLED_BACK: 2, HEALTHY: 1, LOST: 1 }), withoutFallback: 1 };
    const partly = must(rollout, tick(listed), HOUR).rollout;
    expect([partly.status, partly.unreturned]).toEqual(['ROLLED_BACK', 2]);
  });

  it('sends back whoever turns up on the release later', () => {
    const straggler = withCounts({ ROLLED_BACK: 3, VERIFYING: 1 });
    expect(must(rollingBack(), tick(straggler), HOUR).effects).toEqual([{ kind: 'rollBack' }]);
    const over = must(rollingBack(), tick(withCounts({ ROLLED_BACK: 3, LOST: 1 })), HOUR).rollout;
    const late = must(over, tick(straggler), HOUR);
    expect([late.rollout.status, late.effects]).toEqual(['ROLLED_BACK', [{ kind: 'rollBack' }]]);
    const back = must(over, tick(withCounts({ ROLLED_BACK: 4 })), HOUR).rollout;
    expect(back.unreturned).toBe(0);
  });
});

describe('it is looked at again by itself', () => {
  it('while it is watched, and once more when what was offered last has met its deadline', () => {
    const { rollout, now } = drive(running(), 0, (each) => each.status === 'COMPLETED');
    expect(dueAt(rollout, now)).toBe(now + HOUR / 4);
    const end = rollout.statusSince + 24 * HOUR;
    expect(dueAt(rollout, end)).toBe(end + 72 * HOUR);
    expect(dueAt(rollout, end + 72 * HOUR)).toBeNull();
  });

  it('after a rollback for as long as it is kept: somebody may yet turn up on the release, and a ring may be lost', () => {
    const rolledBack: Rollout = { ...running(), status: 'ROLLED_BACK' };
    expect(dueAt(rolledBack, 1000 * HOUR)).toBe(1024 * HOUR);
    expect(dueAt({ ...rolledBack, unreturned: 1 }, 1000 * HOUR)).toBe(1001 * HOUR);
  });
});

describe('what makes no sense is refused as a value', () => {
  it.each(['approve', 'pause', 'resume', 'halt', 'rollback'] as const)('%s on a draft', (kind) => {
    expect(codeOf(draft(), person(kind))).toBe(kind === 'approve' ? 'NOTHING_TO_APPROVE' : 'WRONG_STATUS');
  });

  it.each(['submit', 'resume', 'cancel'] as const)('%s while running', (kind) => {
    expect(codeOf(running(), person(kind))).toBe('WRONG_STATUS');
  });

  it('anything after CANCELLED', () => {
    const over = must(draft(), person('cancel'), 0).rollout;
    for (const kind of ['submit', 'pause', 'resume', 'halt', 'rollback', 'cancel'] as const) {
      expect(codeOf(over, person(kind))).toBe('WRONG_STATUS');
    }
    expect(must(over, tick(), HOUR).rollout).toBe(over);
  });
});
