import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  ASSIGNMENT_STATES,
  type AssignmentRefusal,
  type Hold,
  type PlanProblemCode,
  type RolloutRefusal,
  type RolloutStatus,
  type WaveStatus,
} from '@tidegate/rollout/core';

/** Whoever adds a word to one of the core's unions is asked here for a transcript that shows it. */
const WORDS = {
  'status of a rollout': {
    DRAFT: true,
    AWAITING_APPROVAL: true,
    SCHEDULED: true,
    RUNNING: true,
    PAUSED: true,
    COMPLETED: true,
    HALTED: true,
    ROLLING_BACK: true,
    ROLLED_BACK: true,
    CANCELLED: true,
  } satisfies Record<RolloutStatus, true>,
  'status of a step': {
    PENDING: true,
    OPEN: true,
    SOAKING: true,
    GATE: true,
    PASSED: true,
    FAILED: true,
  } satisfies Record<WaveStatus, true>,
  'refusal of what a person asks for': {
    WRONG_STATUS: true,
    AUTHOR_CANNOT_APPROVE: true,
    ALREADY_APPROVED: true,
    NOTHING_TO_APPROVE: true,
  } satisfies Record<RolloutRefusal, true>,
  "refusal of a charger's report": {
    STALE: true,
    FINISHED: true,
    WITHDRAWN: true,
    NOT_TREATED: true,
    NOT_DUE: true,
    ACTIVATED: true,
  } satisfies Record<AssignmentRefusal, true>,
  'reason to hold a step': { NOBODY: true, EXPOSURE: true, CONTROL: true, EXPIRING: true } satisfies Record<
    Hold,
    true
  >,
  'reason to refuse a plan': {
    MALFORMED: true,
    UNKNOWN_FIELD: true,
    OUT_OF_RANGE: true,
    CANARY_EMPTY: true,
    WAVE_EMPTY: true,
    HOLD_BACK_EMPTY: true,
    OVER_100_PERCENT: true,
    SOAK_EMPTY: true,
    NAME_TAKEN: true,
    POPULATION_TOO_SMALL: true,
  } satisfies Record<PlanProblemCode, true>,
};

/** How each kind of word looks in what the core decided; prose does not count. */
const LOOKS: Record<keyof typeof WORDS, (word: string) => RegExp> = {
  'status of a rollout': (word) => new RegExp(`^${word}(, held|$)|^${word} -> |-> ${word}$`),
  'status of a step': (word) => new RegExp(`^[a-z][a-z -]* ${word}: `),
  'refusal of what a person asks for': (word) => new RegExp(`^refused: ${word}\\. `),
  "refusal of a charger's report": (word) => new RegExp(`^C-\\d+: ${word}; `),
  'reason to hold a step': (word) => new RegExp(`, held for ${word}$`),
  'reason to refuse a plan': (word) => new RegExp(`^refused: ${word} at `),
};

const folder = import.meta.dirname;
const decided = readdirSync(folder)
  .filter((name) => name.endsWith('.txt'))
  .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'))
  .flatMap((line) => /^ *\d+ h {2}(.*)$/.exec(line)?.[1] ?? []);

const cases = Object.entries(WORDS).flatMap(([kind, words]) =>
  Object.keys(words).map((word) => [kind as keyof typeof WORDS, word] as const),
);

it.each(cases)('a transcript shows the %s %s', (kind, word) => {
  expect(decided.filter((line) => LOOKS[kind](word).test(line))).not.toEqual([]);
});

it.each(ASSIGNMENT_STATES)('a transcript shows a charger that is %s', (state) => {
  const one = new RegExp(`^C-\\d+ is ${state}\\b`);
  const counted = new RegExp(`^[a-z][a-z -]* [A-Z]+: (.*, )?\\d+ ${state}(,|$)`);
  expect(decided.filter((line) => one.test(line) || counted.test(line))).not.toEqual([]);
});
