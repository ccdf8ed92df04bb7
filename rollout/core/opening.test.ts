import { assert, constantFrom, double, integer, property } from 'fast-check';
import { expect, it } from 'vitest';
import { openingOf } from './opening.ts';
import { dueAt } from './tick.ts';
import { draft, drive, HOUR, must, observation, thriving } from './testing.ts';
import type { Life, Rollout } from './types.ts';
import { sentenceOfWaiting, waitsFor } from './waiting.ts';

const role = (expires: number): Life => ({ kind: 'ROLE', subject: 'targets', expires });
const tick = (rollout: Rollout, now: number, lives: Life[]) =>
  must(rollout, { kind: 'tick', observation: thriving(rollout, now), lives }, now);
const gateWithApproval = () => {
  const { rollout, now } = drive(scheduled(), 0, (each) => each.steps[0]?.status === 'GATE', null);
  return { rollout: must(rollout, { kind: 'approve', by: 'bob', reason: 'fine' }, now).rollout, now };
};

function scheduled(change: Record<string, unknown> = {}): Rollout {
  const submitted = must(draft(change), { kind: 'submit', by: 'alice', reason: 'go' }, 0).rollout;
  return must(submitted, { kind: 'approve', by: 'bob', reason: 'fine' }, 0).rollout;
}

it('an opening is named only when nothing but time and approvals has kept it, and until the end of soak and watch', () => {
  expect(openingOf(draft(), 0)).toBeNull();
  expect(openingOf(scheduled(), 7)).toEqual({ step: 0, until: 7 + 34 * HOUR });
  expect(openingOf(scheduled({ startAt: HOUR }), 0)).toBeNull();
  const { rollout, now } = drive(scheduled(), 0, (each) => each.steps[0]?.status === 'GATE', null);
  expect(openingOf(rollout, now)).toBeNull();
  expect(openingOf(gateWithApproval().rollout, now)).toEqual({ step: 1, until: now + 29 * HOUR });
});

it('the first step stays closed, is looked at again, says why once, and opens by itself', () => {
  const held = tick(scheduled(), 0, [role(34 * HOUR - 1)]);
  expect(held.rollout).toMatchObject({ status: 'SCHEDULED', holding: 'EXPIRING', current: -1 });
  expect([held.effects, held.notes.length]).toEqual([[], 1]);
  expect(dueAt(held.rollout, 0)).toBe(15 * 60_000);
  const again = tick(held.rollout, 1, [role(34 * HOUR - 1)]);
  expect([again.rollout, again.notes]).toEqual([held.rollout, []]);
  const [waiting] = waitsFor(held.rollout, observation());
  expect(waiting).toMatchObject({ kind: 'RENEWAL', step: 'canary', of: { subject: 'targets' } });
  expect(sentenceOfWaiting(waiting!, String)).toMatch(/canary .*targets .*122399999.*122400000/);
  const open = tick(held.rollout, 2, [role(90 * HOUR)]).rollout;
  expect(open).toMatchObject({ status: 'RUNNING', holding: null, current: 0 });
  expect(open.expiring).toBeUndefined();
});

it('a gate keeps its approvals while the next step stays closed, and the last step completes whatever expires', () => {
  const { rollout, now } = gateWithApproval();
  const held = tick(rollout, now, [role(now + HOUR)]).rollout;
  expect(held).toMatchObject({ status: 'RUNNING', holding: 'EXPIRING', current: 0 });
  expect(held.steps[0]).toMatchObject({ status: 'GATE', approvals: [{ by: 'bob' }] });
  expect(waitsFor(held, observation()).map(({ kind }) => kind)).toEqual(['RENEWAL']);
  expect(tick(held, now + HOUR, [role(now + 99 * HOUR)]).rollout).toMatchObject({
    current: 1,
    holding: null,
  });
  const last = drive(scheduled(), 0, (each) => each.current === 2 && each.steps[2]?.status === 'GATE');
  expect(tick(last.rollout, last.now, [role(0)]).rollout.status).toBe('COMPLETED');
});

it('what is said anew is told, also when another reason takes its place', () => {
  const fallback: Life = { kind: 'FALLBACK', subject: 'acme.dc150/1', expires: HOUR };
  const held = tick(scheduled(), 0, [role(HOUR)]);
  const both = tick(held.rollout, 1, [role(HOUR), fallback]);
  expect(both.notes).toEqual([expect.stringContaining('acme.dc150/1')]);
  const other = tick(both.rollout, 2, [fallback]);
  expect([other.notes, other.rollout.expiring?.map(({ kind }) => kind)]).toEqual([[], ['FALLBACK']]);
});

it('whoever cancels what is held has ended it', () => {
  const held = tick(scheduled(), 0, [role(HOUR)]).rollout;
  const cancelled = must(held, { kind: 'cancel', by: 'alice', reason: 'no' }, 1).rollout;
  expect(cancelled).toMatchObject({ status: 'CANCELLED', holding: null });
});

it('no step opens inside whose watch something expires, but for as many chargers as the plan lets fail', () => {
  const kinds = constantFrom<Life['kind'][]>('ROLE', 'FALLBACK', 'CERTIFICATE', 'CHARGERS');
  const share = double({ min: 0, max: 1, noNaN: true });
  const first = scheduled();
  const second = gateWithApproval();
  assert(
    property(kinds, integer({ min: -10 * HOUR, max: 60 * HOUR }), share, (kind, offset, part) => {
      for (const [rollout, now] of [
        [first, 0],
        [second.rollout, second.now],
      ] as const) {
        const expires = now + offset;
        const life: Life = { kind, subject: 'x', expires, ...(kind === 'CHARGERS' ? { share: part } : {}) };
        const opening = openingOf(rollout, now);
        const opened = tick(rollout, now, [life]).rollout.current > rollout.current;
        const borne = kind === 'CHARGERS' && part <= rollout.plan.maxFailedShare;
        expect(opened).toBe(expires >= (opening?.until ?? NaN) || borne);
      }
    }),
    { seed: 16, numRuns: 500 },
  );
});
