import type { AssignmentProgress } from '@tidegate/client-sdk/protocol';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Assignment,
  type AssignmentEvent,
  decideAssignment,
  isTreated,
  WITHDRAWN,
} from './assignment.ts';
import { type AssignmentState, ASSIGNMENT_STATES } from './types.ts';

const HOUR = 3_600_000;

function inState(state: AssignmentState, change: Partial<Assignment> = {}): Assignment {
  const treated = state === 'VERIFYING' || state === 'HEALTHY' || state === 'ROLLING_BACK';
  return {
    state,
    offeredAt: state === 'PENDING' ? null : 0,
    activatedAt: treated ? 1 : null,
    deadlineAt: state === 'PENDING' ? null : HOUR,
    code: null,
    detail: null,
    ...change,
  };
}

const forward = (progress: AssignmentProgress): AssignmentEvent => ({
  kind: 'progress',
  leg: 'forward',
  progress,
});
const back = (progress: AssignmentProgress): AssignmentEvent => ({ kind: 'progress', leg: 'back', progress });

/** The state after the event, or the refusal in brackets. */
function after(assignment: Assignment, event: AssignmentEvent, now = 10): string {
  const decision = decideAssignment(assignment, event, now);
  return decision.ok ? decision.assignment.state : `[${decision.code}]`;
}

describe('decideAssignment', () => {
  it('whoever runs the release has a deadline, and never another than the one it had', () => {
    const deadlineOf = (assignment: Assignment): number | null => {
      const decision = decideAssignment(assignment, { kind: 'runs', deadlineAt: 9 * HOUR }, 10);
      return decision.ok ? decision.assignment.deadlineAt : NaN;
    };
    expect(deadlineOf(inState('PENDING'))).toBe(9 * HOUR);
    expect(deadlineOf(inState('SKIPPED', { deadlineAt: null }))).toBe(9 * HOUR);
    expect(deadlineOf(inState('STAGED'))).toBe(HOUR);
    expect(deadlineOf(inState('VERIFYING'))).toBe(HOUR);
  });

  it('goes the whole way, as the charger reports', () => {
    const events: AssignmentEvent[] = [
      { kind: 'offered', deadlineAt: HOUR },
      forward('DOWNLOADING'),
      forward('STAGED'),
      forward('WAITING_WINDOW'),
      { kind: 'activated' },
      forward('HEALTHY'),
    ];
    let assignment = inState('PENDING');
    const states = events.map((event) => {
      const decision = decideAssignment(assignment, event, 10);
      if (decision.ok) assignment = decision.assignment;
      return assignment.state;
    });
    expect(states).toEqual(['OFFERED', 'DOWNLOADING', 'STAGED', 'WAITING_WINDOW', 'VERIFYING', 'HEALTHY']);
    expect(assignment).toMatchObject({ offeredAt: 10, activatedAt: 10, deadlineAt: null });
  });

  it.each<[string, Assignment, AssignmentEvent, string]>([
    ['an offer sent twice', inState('STAGED'), { kind: 'offered', deadlineAt: 1 }, 'STAGED'],
    ['an offer to one that was given up', inState('LOST'), { kind: 'offered', deadlineAt: 1 }, 'OFFERED'],
    ['a later rollout', inState('PENDING'), { kind: 'skip', code: 'SUPERSEDED', detail: '' }, 'SKIPPED'],
    [
      'a later rollout, given up',
      inState('LOST'),
      { kind: 'skip', code: 'SUPERSEDED', detail: '' },
      'SKIPPED',
    ],
    ['found on it, thought failed', inState('FAILED'), { kind: 'found' }, 'HEALTHY'],
    ['found on it, thought withdrawn', inState('SKIPPED'), { kind: 'found' }, 'HEALTHY'],
    ['found on it, thought back', inState('ROLLED_BACK', { activatedAt: 1 }), { kind: 'found' }, 'HEALTHY'],
    ['found on it, on its way back', inState('ROLLING_BACK'), { kind: 'found' }, '[STALE]'],
    ['the release, unasked', inState('PENDING'), { kind: 'runs', deadlineAt: HOUR }, 'VERIFYING'],
    ['the release, booted late', inState('LOST'), { kind: 'runs', deadlineAt: HOUR }, 'VERIFYING'],
    [
      'the release, kept past its deadline',
      inState('LOST', { activatedAt: 1 }),
      { kind: 'runs', deadlineAt: HOUR },
      'HEALTHY',
    ],
    ['the release, on its way back', inState('ROLLING_BACK'), { kind: 'runs', deadlineAt: HOUR }, '[STALE]'],
    ['an earlier report', inState('VERIFYING'), forward('STAGED'), '[STALE]'],
    ['a doubled report', inState('STAGED'), forward('STAGED'), 'STAGED'],
    ['a refusal', inState('STAGED'), forward('FAILED'), 'FAILED'],
    ['a trial boot that fell back', inState('VERIFYING'), forward('ROLLED_BACK'), 'FAILED'],
    ['a committed image left behind', inState('HEALTHY'), forward('ROLLED_BACK'), 'FAILED'],
    ['a failure reported late', inState('HEALTHY'), forward('FAILED'), '[STALE]'],
    ['a failed charger that did it after all', inState('FAILED'), forward('HEALTHY'), 'HEALTHY'],
    ['a failed charger that says it staged', inState('FAILED'), forward('STAGED'), '[FINISHED]'],
    ['a withdrawn charger that is told', inState('SKIPPED'), forward('STAGED'), '[WITHDRAWN]'],
    ['a withdrawn charger that booted it anyway', inState('SKIPPED'), forward('VERIFYING'), 'VERIFYING'],
    ['withdrawing what is staged', inState('STAGED'), { kind: 'withdraw' }, 'SKIPPED'],
    ['withdrawing what runs', inState('VERIFYING'), { kind: 'withdraw' }, '[ACTIVATED]'],
    ['withdrawing the silent', inState('LOST'), { kind: 'withdraw' }, 'SKIPPED'],
    [
      'withdrawing the silent that run it',
      inState('LOST', { activatedAt: 1 }),
      { kind: 'withdraw' },
      '[ACTIVATED]',
    ],
    ['a retired charger', inState('PENDING'), { kind: 'skip', code: 'RETIRED', detail: '' }, 'SKIPPED'],
    ['wanted again after a halt', inState('SKIPPED', WITHDRAWN), { kind: 'redraw' }, 'PENDING'],
    [
      'not wanted again when retired',
      inState('SKIPPED', { code: 'RETIRED' }),
      { kind: 'redraw' },
      '[WITHDRAWN]',
    ],
    ['a deadline in time', inState('STAGED'), { kind: 'deadline' }, '[NOT_DUE]'],
    ['a silent charger that reports again', inState('LOST'), forward('DOWNLOADING'), 'DOWNLOADING'],
    [
      'a silent charger that is offered again',
      inState('LOST'),
      { kind: 'offered', deadlineAt: 1 },
      'OFFERED',
    ],
    ['rolling back what runs', inState('HEALTHY'), { kind: 'rollBack', deadlineAt: HOUR }, 'ROLLING_BACK'],
    ['rolling back twice', inState('ROLLING_BACK'), { kind: 'rollBack', deadlineAt: 1 }, 'ROLLING_BACK'],
    ['rolling back the untreated', inState('STAGED'), { kind: 'rollBack', deadlineAt: 1 }, '[NOT_TREATED]'],
    [
      'rolling back the silent',
      inState('LOST', { activatedAt: 1 }),
      { kind: 'rollBack', deadlineAt: 9 },
      'ROLLING_BACK',
    ],
    ['a healthy report while going back', inState('ROLLING_BACK'), forward('HEALTHY'), '[STALE]'],
    ['a charger quicker than the order', inState('ROLLING_BACK'), forward('ROLLED_BACK'), 'ROLLED_BACK'],
    ['on its way back', inState('ROLLING_BACK'), back('VERIFYING'), 'ROLLING_BACK'],
    ['a failure on the way back is tried again', inState('ROLLING_BACK'), back('FAILED'), 'ROLLING_BACK'],
    ['back and healthy', inState('ROLLING_BACK'), back('HEALTHY'), 'ROLLED_BACK'],
    ['back and healthy after silence', inState('LOST', { activatedAt: 1 }), back('HEALTHY'), 'ROLLED_BACK'],
    ['back again after silence', inState('LOST', { activatedAt: 1 }), back('STAGED'), 'ROLLING_BACK'],
    ['back said twice', inState('ROLLED_BACK'), back('HEALTHY'), 'ROLLED_BACK'],
    ['anything after the end', inState('ROLLED_BACK'), forward('HEALTHY'), '[FINISHED]'],
    ['no way back', inState('HEALTHY'), { kind: 'noFallback', code: 'NO_FALLBACK', detail: '' }, 'HEALTHY'],
    [
      'no way back for the untreated',
      inState('STAGED'),
      { kind: 'noFallback', code: 'X', detail: '' },
      '[NOT_TREATED]',
    ],
    ['a report about a way back that nobody asked for', inState('STAGED'), back('HEALTHY'), '[FINISHED]'],
  ])('%s', (_, assignment, event, expected) => expect(after(assignment, event)).toBe(expected));

  it('what a halt withdrew is as new when it is wanted again, the silent too', () => {
    const silent = inState('LOST', { code: 'SILENT', detail: 'No word from it.' });
    const withdrawn = decideAssignment(silent, { kind: 'withdraw' }, 10);
    if (!withdrawn.ok) throw new Error(withdrawn.code);
    expect(withdrawn.assignment).toMatchObject({ state: 'SKIPPED', ...WITHDRAWN });
    const again = decideAssignment(withdrawn.assignment, { kind: 'redraw' }, 10);
    expect(again).toMatchObject({ ok: true, assignment: inState('PENDING') });
  });

  it('is LOST past its deadline, in every state in which it is waited for, and in no other', () => {
    const lost = ASSIGNMENT_STATES.filter(
      (state) => after(inState(state), { kind: 'deadline' }, HOUR) === 'LOST',
    );
    expect(lost).toEqual([
      'OFFERED',
      'DOWNLOADING',
      'STAGED',
      'WAITING_WINDOW',
      'INSTALLING',
      'VERIFYING',
      'ROLLING_BACK',
    ]);
  });

  it('gives a charger that was silent as long again', () => {
    const decision = decideAssignment(inState('LOST'), forward('STAGED'), 5 * HOUR);
    expect(decision.ok && decision.assignment.deadlineAt).toBe(6 * HOUR);
  });
});

describe('monotone', () => {
  const progress = fc.constantFrom<AssignmentProgress[]>(
    'DOWNLOADING',
    'STAGED',
    'WAITING_WINDOW',
    'INSTALLING',
    'VERIFYING',
    'HEALTHY',
    'ROLLED_BACK',
    'FAILED',
  );
  const events: fc.Arbitrary<AssignmentEvent> = fc.oneof(
    fc.record({ kind: fc.constant('progress' as const), leg: fc.constantFrom('forward', 'back'), progress }),
    fc.constantFrom<AssignmentEvent[]>(
      { kind: 'offered', deadlineAt: HOUR },
      { kind: 'redraw' },
      { kind: 'activated' },
      { kind: 'deadline' },
      { kind: 'withdraw' },
      { kind: 'rollBack', deadlineAt: 9 * HOUR },
      { kind: 'noFallback', code: 'NO_FALLBACK', detail: '' },
    ),
  );
  const histories = fc.array(events, { maxLength: 30 });
  const run = (
    history: AssignmentEvent[],
    each: (before: Assignment, event: AssignmentEvent, next: Assignment) => void,
  ) => {
    let assignment = inState('PENDING');
    history.forEach((event, i) => {
      const decision = decideAssignment(assignment, event, i * HOUR);
      const next = decision.ok ? decision.assignment : assignment;
      each(assignment, event, next);
      assignment = next;
    });
  };
  const RUNS = { seed: 4, numRuns: 2000 };

  it('an event taken twice changes nothing the second time', () => {
    fc.assert(
      fc.property(histories, (history) =>
        run(history, (_, event, next) => {
          const again = decideAssignment(next, event, 0);
          if (event.kind !== 'offered' && event.kind !== 'redraw' && event.kind !== 'deadline' && again.ok) {
            expect(again.changed).toBe(false);
          }
        }),
      ),
      RUNS,
    );
  });

  it('activation is never forgotten, and nothing is treated without one', () => {
    fc.assert(
      fc.property(histories, (history) =>
        run(history, (before, _, next) => {
          if (before.activatedAt !== null) expect(next.activatedAt).toBe(before.activatedAt);
          if (isTreated(next)) expect(next.activatedAt).not.toBeNull();
        }),
      ),
      RUNS,
    );
  });

  // Invariant 8, the charger's part: whoever was activated is reached by a rollback, unless it is back already.
  it('after any history a treated charger can be rolled back', () => {
    fc.assert(
      fc.property(histories, (history) => {
        let assignment = inState('PENDING');
        run(history, (_, __, next) => (assignment = next));
        const decision = decideAssignment(assignment, { kind: 'rollBack', deadlineAt: 99 * HOUR }, 50 * HOUR);
        const state = decision.ok ? decision.assignment.state : assignment.state;
        const withdrawn = decideAssignment(assignment, { kind: 'withdraw' }, 50 * HOUR);
        const settled = withdrawn.ok ? withdrawn.assignment.state : state;
        expect(['ROLLING_BACK', 'ROLLED_BACK', 'FAILED', 'SKIPPED']).toContain(settled);
      }),
      RUNS,
    );
  });
});
