import { expect, it } from 'vitest';
import { draft, drive, HOUR, must, observation, running, thriving } from './testing.ts';
import type { Observation, Rollout } from './types.ts';
import { sentenceOfWaiting, waitsFor } from './waiting.ts';

const counts = (given: Observation['steps'][number]['counts'], treatedChargerHours = 0) =>
  observation({ steps: [{ counts: given, treatedChargerHours }] });
const at = (rollout: Rollout, status: string) =>
  drive(rollout, 0, (each) => each.steps[each.current]?.status === status, null);

it('an open step waits for healthy chargers, and says how many were not even offered it', () => {
  expect(waitsFor(running(), counts({ PENDING: 2, STAGED: 1, HEALTHY: 1 }))).toEqual([
    { kind: 'HEALTHY', step: 'canary', healthy: 1, need: 3, pending: 2, underWay: 1 },
  ]);
  expect(waitsFor(running(), counts({ SKIPPED: 4 }))).toEqual([
    { kind: 'CHARGERS', step: 'canary', skipAt: null },
  ]);
  const wave = drive(running(), 0, (each) => each.current === 1).rollout;
  const openedAt = wave.steps[1]?.openedAt ?? NaN;
  expect(waitsFor(wave, observation())).toEqual([
    { kind: 'CHARGERS', step: 'wave 1', skipAt: openedAt + 72 * HOUR },
  ]);
});

it('a soaking step waits for time, exposure and a control', () => {
  const { rollout } = at(running(), 'SOAKING');
  const until = (rollout.steps[0]?.soakingSince ?? NaN) + 10 * HOUR;
  const exposure = { kind: 'EXPOSURE', step: 'canary', have: 5, need: 20 };
  expect(waitsFor(rollout, counts({ HEALTHY: 4 }, 5))).toEqual([
    { kind: 'TIME', step: 'canary', until },
    exposure,
  ]);
  const held = must(rollout, { kind: 'tick', observation: counts({ HEALTHY: 4 }, 5) }, until).rollout;
  expect(waitsFor(held, counts({ HEALTHY: 4 }, 5))).toEqual([exposure]);
  const alone = { ...thriving(rollout, until), bins: [] };
  const compared = must(rollout, { kind: 'tick', observation: alone }, until).rollout;
  expect(waitsFor(compared, alone)).toEqual([{ kind: 'CONTROL', step: 'canary' }]);
});

it('people are waited for by name of what they decide', () => {
  const submitted = must(draft(), { kind: 'submit', by: 'alice', reason: 'go' }, 0).rollout;
  expect(waitsFor(submitted, observation())).toEqual([
    { kind: 'APPROVALS', of: 'the plan', have: 0, need: 1 },
  ]);
  const { rollout, now } = at(running(), 'GATE');
  expect(waitsFor(rollout, observation())).toEqual([
    { kind: 'APPROVALS', of: 'The gate after canary', have: 0, need: 1 },
  ]);
  const paused = must(rollout, { kind: 'pause', by: 'bob', reason: 'fair' }, now).rollout;
  expect(waitsFor(paused, observation())).toEqual([{ kind: 'PERSON', to: 'resume' }]);
  const halted = must(paused, { kind: 'halt', by: 'bob', reason: 'smoke' }, now).rollout;
  expect(waitsFor(halted, observation())).toEqual([{ kind: 'PERSON', to: 'go forward or roll back' }]);
  const going = must(halted, { kind: 'rollback', by: 'bob', reason: 'smoke' }, now).rollout;
  expect(waitsFor(going, counts({ ROLLING_BACK: 2 }))).toEqual([{ kind: 'RETURN', underWay: 2 }]);
});

it('every kind of waiting has a sentence with its figures', () => {
  const sentence = (waiting: Parameters<typeof sentenceOfWaiting>[0]) => sentenceOfWaiting(waiting, String);
  expect(sentence({ kind: 'START', at: 7 })).toContain('7');
  expect(sentence({ kind: 'TIME', step: 'canary', until: 7 })).toContain('7');
  expect(sentence({ kind: 'CHARGERS', step: 'wave', skipAt: 7 })).toContain('7');
  expect(sentence({ kind: 'CHARGERS', step: 'canary', skipAt: null })).toContain('canary');
  expect(sentence({ kind: 'EXPOSURE', step: 'canary', have: 1, need: 4 })).toMatch(/1\.0 of 4\.0/);
  expect(sentence({ kind: 'APPROVALS', of: 'the plan', have: 1, need: 2 })).toMatch(/1 of 2/);
  const healthy = { kind: 'HEALTHY', step: 'canary', healthy: 1, need: 3, pending: 2, underWay: 1 } as const;
  expect(sentence(healthy)).toMatch(/1 of the 3 .*2 .*1 /);
});
