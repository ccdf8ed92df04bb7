import { type Transaction, sql } from 'kysely';
import type { AssignmentState } from '@tidegate/rollout/core';
import type { RolloutRef } from '@tidegate/rollout/shell';
import { type Database, type Db, inTransaction } from '../db/index.ts';
import type { Visitor, Watched } from './check-in/batch.ts';
import { Evidence } from './check-in/evidence.ts';
import { heldOf, liveRollouts, visitorOf } from './check-in/load.ts';
import { armOf, binStart } from './check-in/reports.ts';
import { writeEvidence } from './check-in/write.ts';
import { DEVICE_DEFAULTS } from './deps.ts';

/** Chargers taken in one transaction. */
const PAGE = 500;

/** A charger in one of these boots an image, or will: its silence is the update's own, and its deadline judges it. */
const BOOTING: ReadonlySet<AssignmentState> = new Set(['VERIFYING', 'ROLLING_BACK']);

export interface SilenceOptions {
  organisation: string;
  /** ms of the fleet's clock at which this service began to answer: what nobody could have heard is not silence. */
  upSince: number;
  /** Idle `pollAfter`, seconds of the fleet's time. Default 900. */
  pollSeconds?: number;
  /** Polls that may be missed before a charger counts as silent. Default 4. */
  missed?: number;
}

/**
 * Finds chargers that stopped checking in, marks them offline and counts each as one offline episode, in the bin of the moment
 * at which it was due. Silence is an event: a charger that an update has killed reports nothing. Design §5
 *
 * @param now ms of the fleet's clock.
 * @returns how many went silent, and the rollouts to ring for.
 */
export async function markSilent(
  db: Db,
  now: number,
  options: SilenceOptions,
): Promise<{ silent: number; changed: RolloutRef[] }> {
  const { organisation, upSince, pollSeconds = DEVICE_DEFAULTS.idlePollSeconds, missed = 4 } = options;
  const patience = pollSeconds * missed * 1000;
  const changed = new Set<string>();
  let silent = 0;
  for (let page = now - upSince < patience ? 0 : PAGE; page === PAGE; silent += page) {
    page = await inTransaction(db, async (trx) => {
      const visitors = await takeSilent(trx, organisation, new Date(now - patience));
      if (visitors.size === 0) return 0;
      const live = await liveRollouts(trx, organisation, visitors, now);
      await loadAssignments(trx, organisation, visitors, live);
      const evidence = new Evidence();
      for (const visitor of visitors.values()) {
        countEpisode(visitor, Math.max(visitor.lastSeenAt ?? 0, upSince) + patience, live, evidence);
      }
      await writeEvidence(trx, { organisation }, evidence);
      await writeOffline(trx, organisation, visitors);
      for (const { rollout } of evidence.bins()) changed.add(rollout);
      return visitors.size;
    });
  }
  return { silent, changed: [...changed].map((id) => ({ organisation, id })) };
}

async function takeSilent(
  trx: Transaction<Database>,
  organisation: string,
  before: Date,
): Promise<Map<string, Visitor>> {
  const rows = await trx
    .selectFrom('chargers')
    .selectAll()
    .where('organisation', '=', organisation)
    .where('state', '=', 'ACTIVE')
    .where('online', '=', true)
    .where('last_seen_at', '<', before)
    .orderBy('last_seen_at')
    .limit(PAGE)
    .forNoKeyUpdate()
    // One that is checking in at this moment is not silent.
    .skipLocked()
    .execute();
  return new Map(rows.map((row) => [row.serial, visitorOf(row)]));
}

async function loadAssignments(
  trx: Transaction<Database>,
  organisation: string,
  visitors: Map<string, Visitor>,
  live: readonly Watched[],
): Promise<void> {
  if (live.length === 0) return;
  const ids = live.map(({ rollout }) => rollout.id);
  const rows = await trx
    .selectFrom('assignments')
    .selectAll()
    .where('organisation', '=', organisation)
    .where('serial', 'in', [...visitors.keys()])
    .where('rollout', 'in', ids)
    .execute();
  for (const row of rows) visitors.get(row.serial)?.assignments.push(heldOf(row));
}

/** @param at ms: when the charger was due for the last time that counts. */
function countEpisode(visitor: Visitor, at: number, live: readonly Watched[], evidence: Evidence): void {
  if (visitor.assignments.some(({ state }) => BOOTING.has(state))) return;
  const bin = { from: visitor.lastSeenAt ?? at, to: at, sha256: visitor.running.sha256 };
  const mine = live.filter(({ rollout }) => rollout.product === visitor.product);
  if (mine.length === 0) {
    const [events, exposure] = visitor.baseline.offline ?? [0, 0];
    visitor.baseline = { ...visitor.baseline, offline: [events + 1, exposure] };
  }
  for (const watched of mine) {
    const { rollout } = watched;
    const held = visitor.assignments.find((assignment) => assignment.rollout === rollout.id);
    const arm = armOf(bin, watched, held);
    if (arm === undefined || at < (rollout.steps[0]?.openedAt ?? at)) continue;
    const start = binStart(at, rollout.plan.detector.binMinutes * 60_000);
    evidence.addEvent(rollout.id, 'offline', start, arm, visitor.serial);
  }
}

async function writeOffline(
  trx: Transaction<Database>,
  organisation: string,
  visitors: Map<string, Visitor>,
): Promise<void> {
  const rows = [...visitors.values()].map(({ serial, baseline }) => ({ serial, baseline }));
  await sql`
    update chargers c set online = false, baseline = silent.baseline
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as silent (serial text, baseline jsonb)
    where c.organisation = ${organisation} and c.serial = silent.serial`.execute(trx);
}
