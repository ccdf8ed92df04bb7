/** What a rollout waits for, in words. */
import {
  expiringIn,
  firstOpeningOf,
  type Observation,
  type Rollout,
  sentenceOfExpiring,
  sentenceOfWaiting,
  waitsFor,
} from '@tidegate/rollout/core';
import type { Unheard } from '../db/index.ts';
import type { Call } from './route.ts';

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

/** What would keep the first step closed, were it to open now. Renewed in time it keeps nobody: a warning, and no refusal. */
export async function warningsOf(
  { deps, now }: Pick<Call<unknown, unknown, unknown>, 'deps' | 'now'>,
  rollout: Rollout,
): Promise<string[]> {
  const opening = firstOpeningOf(rollout, now);
  if (opening === null || rollout.holding !== null) return [];
  try {
    const lives = await deps.lifetimes.of(rollout, opening);
    return expiringIn(rollout, opening, lives).map((each) => sentenceOfExpiring(each, iso));
  } catch (error) {
    // The rollout is there already: whoever made it is told so, and not that it failed.
    const why = error instanceof Error ? error.message : String(error);
    return [`It could not be read what expires. ${why}`];
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
