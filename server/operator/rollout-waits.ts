/** What a rollout waits for, in words. */
import { type Observation, type Rollout, sentenceOfWaiting, waitsFor } from '@tidegate/rollout/core';
import type { Unheard } from '../db/index.ts';

/**
 * @param silent members of the current step that have not been heard from.
 * @param barred why nobody is sent to its release any more: `yanked`, `denied` …
 */
export function waitsOf(
  rollout: Rollout,
  observation: Observation,
  silent?: Unheard,
  barred?: string,
): string[] {
  const known = waitsFor(rollout, observation).map((waiting) => sentenceOfWaiting(waiting, iso));
  const waits =
    barred === undefined || known.length === 0 ? known : [sentenceOfBar(rollout, barred), ...known];
  if (silent === undefined) return waits;
  const since = silent.since === null ? 'one of them never' : `the longest silent since ${iso(silent.since)}`;
  return [
    ...waits,
    `${silent.chargers} of its chargers have not been heard from since the step opened, ${since}.`,
  ];
}

function sentenceOfBar({ product, release, status }: Rollout, barred: string): string {
  const next = status === 'RUNNING' || status === 'PAUSED' ? ' Halt it, or roll it back.' : '';
  return `${product} ${release.version} is ${barred}: it is offered to nobody, and nothing staged is activated.${next}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
