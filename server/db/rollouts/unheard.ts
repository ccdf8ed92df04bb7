import { OFFERABLE, type Rollout } from '@tidegate/rollout/core';
import type { Db } from '../open.ts';

/** Chargers counted at most: beyond it a person needs no exact number. */
const MOST = 1_000;

export interface Unheard {
  /** `MOST` stands for that many or more. */
  chargers: number;
  /** ms: since when the longest silent of them has not checked in; null where one never did. */
  since: number | null;
}

/** Members of the current step that are still to take the release and have not checked in since the step opened; undefined: none. */
export async function unheard(db: Db, rollout: Rollout): Promise<Unheard | undefined> {
  const step = rollout.steps[rollout.current];
  if (step === undefined || (step.status !== 'OPEN' && step.status !== 'SOAKING')) return undefined;
  const openedAt = new Date(step.openedAt ?? rollout.statusSince);
  const rows = await db
    .selectFrom('assignments')
    .innerJoin('chargers', (join) =>
      join
        .onRef('chargers.organisation', '=', 'assignments.organisation')
        .onRef('chargers.serial', '=', 'assignments.serial'),
    )
    .select('chargers.last_seen_at')
    .where('assignments.organisation', '=', rollout.organisation)
    .where('assignments.rollout', '=', rollout.id)
    .where('assignments.step', '=', rollout.current)
    .where('assignments.state', 'in', [...OFFERABLE, 'LOST'])
    .where((where) =>
      where.or([where('chargers.last_seen_at', 'is', null), where('chargers.last_seen_at', '<', openedAt)]),
    )
    .limit(MOST)
    .execute();
  if (rows.length === 0) return undefined;
  const seen = rows.map(({ last_seen_at }) => last_seen_at?.getTime() ?? -Infinity);
  const since = Math.min(...seen);
  return { chargers: rows.length, since: Number.isFinite(since) ? since : null };
}
