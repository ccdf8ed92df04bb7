/** What a rollout waits for, in words. */
import { type Observation, type Rollout, sentenceOfWaiting, waitsFor } from '@tidegate/rollout/core';
import type { Unheard } from '../db/index.ts';

/** @param silent members of the current step that have not been heard from. */
export function waitsOf(rollout: Rollout, observation: Observation, silent?: Unheard): string[] {
  const waits = waitsFor(rollout, observation).map((waiting) => sentenceOfWaiting(waiting, iso));
  if (silent === undefined) return waits;
  const since = silent.since === null ? 'one of them never' : `the longest silent since ${iso(silent.since)}`;
  return [
    ...waits,
    `${silent.chargers} of its chargers have not been heard from since the step opened, ${since}.`,
  ];
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
