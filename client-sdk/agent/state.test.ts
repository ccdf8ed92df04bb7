import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { freshState } from './memory.ts';
import { hasEnded, progressOf, step } from './state.ts';
import type { AgentEvent, AgentState, Phase, StagedImage } from './state.ts';

const image = (name: number): StagedImage => ({
  sha256: String(name).padStart(64, '0'),
  length: 1,
  version: `1.${name}.0`,
  securityVersion: name,
  fallback: [],
  fallbackSecurityVersions: {},
  cap: 9,
});
const target = (name: number) => ({
  path: `acme.dc150/${name}`,
  sha256: image(name).sha256,
  length: 1,
  version: '1.0.0',
});
const start = freshState({ sha256: null, version: '1.0.0', securityVersion: 1 }, 1);

const name = fc.integer({ min: 1, max: 4 });
const anyEvent: fc.Arbitrary<AgentEvent> = fc.oneof(
  name.map((n): AgentEvent => ({ type: 'offered', assignment: `a${n}`, target: target(n), expires: 0 })),
  name.map((n): AgentEvent => ({ type: 'staged', image: image(n) })),
  name.map((n): AgentEvent => ({ type: 'committed', floor: n })),
  fc.constantFrom<AgentEvent>(
    { type: 'attempted' },
    { type: 'waiting' },
    { type: 'activating', bootId: '1' },
    { type: 'resumed' },
    { type: 'booted', at: 0 },
    { type: 'alreadyRunning' },
    { type: 'rejecting', bootId: '1', code: 'HEALTH_FAILED', detail: '' },
    { type: 'fellBack', at: 0, code: 'BOOT_FELL_BACK', detail: '' },
    { type: 'failed', code: 'DENIED', detail: 'x'.repeat(600) },
    { type: 'reported' },
    { type: 'reportAgain' },
    { type: 'directive', epoch: 1, sequence: 1 },
  ),
);

const history = (events: AgentEvent[]): AgentState[] => {
  const states = [start];
  for (const event of events) states.push(step(states.at(-1) ?? start, event));
  return states;
};
const always = (holds: (before: AgentState, after: AgentState, event: AgentEvent) => void): void =>
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
      const states = history(events);
      for (const [i, event] of events.entries()) holds(states[i] ?? start, states[i + 1] ?? start, event);
    }),
    { seed: 20261122, numRuns: 500 },
  );

/** What the service knows, `AssignmentProgress`. */
const PROGRESS = [
  'DOWNLOADING',
  'STAGED',
  'WAITING_WINDOW',
  'INSTALLING',
  'VERIFYING',
  'HEALTHY',
  'ROLLED_BACK',
  'FAILED',
];

const PHASES: Phase[] = [
  'DOWNLOADING',
  'STAGED',
  'INSTALLING',
  'VERIFYING',
  'FALLING_BACK',
  'HEALTHY',
  'ROLLED_BACK',
  'FAILED',
];

describe('step', () => {
  it('counts a fall for each assignment that is rolled back, and no other', () => {
    always((before, after) => {
      const fell = after.fellBackFrom.length > before.fellBackFrom.length;
      const back = after.job?.phase === 'ROLLED_BACK' && before.job?.phase !== 'ROLLED_BACK';
      expect(fell || before.fellBackFrom.length === 32).toBe(back || before.fellBackFrom.length === 32);
      if (fell) expect(after.fellBackFrom.at(-1)?.sha256).toBe(before.job?.target.sha256);
    });
  });

  it('changes what is committed at a commit only, and lowers the floor never', () => {
    always((before, after, event) => {
      if (after.committed !== before.committed) expect(event.type).toBe('committed');
      expect(after.floor).toBeGreaterThanOrEqual(before.floor);
    });
  });

  it('commits nothing that did not boot on trial', () => {
    always((before, after) => {
      if (after.committed !== before.committed) expect(before.job?.phase).toBe('VERIFYING');
    });
  });

  it('gives up no image that boots or proves itself for another offer', () => {
    always((before, after, event) => {
      const busy = ['INSTALLING', 'VERIFYING', 'FALLING_BACK'].includes(before.job?.phase ?? '');
      if (busy && event.type === 'offered') expect(after).toBe(before);
    });
  });

  it('does an assignment that has ended again only when it failed, was reported and is offered anew', () => {
    always((before, after, event) => {
      if (!before.job || !hasEnded(before.job)) return;
      if (after.job?.phase === before.job.phase) return;
      expect(event.type).toBe('offered');
      const same = after.job?.assignment === before.job.assignment;
      if (same)
        expect(before.job).toMatchObject({ reported: true, phase: expect.not.stringMatching('HEALTHY') });
    });
  });

  it('has a short detail for every phase', () => {
    always((_before, { job }) => {
      if (!job) return;
      expect((job.detail ?? '').length).toBeLessThanOrEqual(500);
    });
  });

  it('has a word of design §4 for every phase', () => {
    const offered = step(start, { type: 'offered', assignment: 'a', target: target(1), expires: 0 });
    for (const phase of PHASES) {
      for (const waiting of [false, true]) {
        expect(PROGRESS).toContain(progressOf({ ...offered.job!, phase, waiting }));
      }
    }
  });
});
