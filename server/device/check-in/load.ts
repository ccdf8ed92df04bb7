import type { Transaction } from 'kysely';
import { IN_FLIGHT, type AssignmentState, type RolloutStatus, isWatched } from '@tidegate/rollout/core';
import { barredDigests, type Database, type Row } from '../../db/index.ts';
import type { Batch, Held, Visit, Visitor, Watched } from './batch.ts';
import { findStragglers } from './stragglers.ts';

/** An assignment in one of these may still ask something of its charger. */
const OPEN: readonly AssignmentState[] = ['PENDING', ...IN_FLIGHT, 'ROLLING_BACK', 'LOST'];

/** A rollout in one of these may have treated chargers, once its first step has opened; a completed one while it is watched. */
const LIVE: readonly RolloutStatus[] = [
  'RUNNING',
  'PAUSED',
  'COMPLETED',
  'HALTED',
  'ROLLING_BACK',
  // On their way forward again after a halt.
  'AWAITING_APPROVAL',
  'SCHEDULED',
];

/**
 * Reads what a batch of check-ins needs, in a fixed number of indexed reads whatever the size of the fleet.
 *
 * Locks are taken in one order everywhere, chargers, rollouts, assignments, so that batches and confirmations seldom wait in a circle.
 * Rollouts are locked for share: what is read of their status holds until this transaction ends, and a halt commits before or after.
 */
export async function loadBatch(
  trx: Transaction<Database>,
  organisation: string,
  visits: readonly Visit[],
  now: number,
): Promise<Batch> {
  const visitors = await lockVisitors(trx, organisation, visits);
  const live = await liveRollouts(trx, organisation, visitors, now);
  const batch: Batch = {
    organisation,
    now,
    visitors,
    rollouts: new Map(),
    live: new Map(),
    barred: new Map(),
    stragglers: new Set(),
    changed: new Set(),
  };
  for (const watched of live) {
    batch.rollouts.set(watched.rollout.id, watched);
    const product = batch.live.get(watched.rollout.product);
    if (product === undefined) batch.live.set(watched.rollout.product, [watched]);
    else product.push(watched);
  }
  const open = await loadAssignments(trx, batch, await findStragglers(trx, batch, visits));
  for (const watched of await lockRollouts(trx, organisation, open)) {
    const known = batch.rollouts.get(watched.rollout.id);
    if (known === undefined) batch.rollouts.set(watched.rollout.id, watched);
    // The same object stands in `live`.
    else Object.assign(known, watched);
  }
  if (open.length > 0) batch.barred = await barredDigests(trx, organisation, digestsOf(batch));
  await loadLastEvents(trx, batch, visits);
  return batch;
}

async function lockVisitors(
  trx: Transaction<Database>,
  organisation: string,
  visits: readonly Visit[],
): Promise<Map<string, Visitor>> {
  const rows = await trx
    .selectFrom('chargers')
    .selectAll()
    .where('organisation', '=', organisation)
    .where('serial', 'in', [...new Set(visits.map(({ charger }) => charger.serial))])
    .where('state', '=', 'ACTIVE')
    .orderBy('serial')
    .forNoKeyUpdate()
    .execute();
  return new Map(rows.map((row) => [row.serial, visitorOf(row)]));
}

export function visitorOf(row: Row<'chargers'>): Visitor {
  return {
    serial: row.serial,
    product: row.product,
    site: row.site,
    certificateSha256: row.certificate_sha256,
    online: row.online,
    lastSeenAt: row.last_seen_at?.getTime() ?? null,
    lastReport: row.last_report,
    reportedTo: row.reported_to?.getTime() ?? null,
    earlier: { report: row.earlier_report, reportedTo: row.earlier_reported_to?.getTime() ?? null },
    lastSequence: row.last_sequence,
    baseline: row.baseline,
    running: {
      sha256: row.running_sha256,
      version: row.running_version,
      securityVersion: row.running_security_version,
    },
    charging: row.charging,
    marks: row.marks,
    assignments: [],
    lastEvents: new Map(),
  };
}

/** Rollouts of these chargers' products that may have treated chargers and are still judged or taken back. */
export async function liveRollouts(
  trx: Transaction<Database>,
  organisation: string,
  visitors: Map<string, Visitor>,
  now: number,
): Promise<Watched[]> {
  const products = [...new Set([...visitors.values()].map(({ product }) => product))];
  if (products.length === 0) return [];
  const rows = await trx
    .selectFrom('rollouts')
    .select(['state', 'mean_rates'])
    .where('organisation', '=', organisation)
    .where('product', 'in', products)
    .where('status', 'in', LIVE)
    // Completed rollouts pile up over the years; those whose watch is over are never due again.
    .where((where) => where.or([where('status', '<>', 'COMPLETED'), where('due_at', 'is not', null)]))
    .orderBy('id')
    .execute();
  return rows
    .filter(({ state }) => typeof state.steps[0]?.openedAt === 'number')
    .filter(({ state }) => state.status !== 'COMPLETED' || isWatched(state, now))
    .map((row) => ({ rollout: row.state, meanRates: row.mean_rates }));
}

/** @returns the rollouts that may still ask something of a visitor. */
async function loadAssignments(
  trx: Transaction<Database>,
  batch: Batch,
  stragglers: Row<'assignments'>[],
): Promise<string[]> {
  const serials = [...batch.visitors.keys()];
  if (serials.length === 0) return [];
  const live = [...batch.rollouts.keys()];
  const rows = await trx
    .selectFrom('assignments')
    .selectAll()
    .where('organisation', '=', batch.organisation)
    .where('serial', 'in', serials)
    .where((where) =>
      where.or([where('state', 'in', OPEN), ...(live.length === 0 ? [] : [where('rollout', 'in', live)])]),
    )
    .orderBy('rollout')
    .execute();
  batch.stragglers = new Set(stragglers.map(({ id }) => id));
  const others = rows.filter(({ id }) => !batch.stragglers.has(id));
  for (const row of [...others, ...stragglers]) batch.visitors.get(row.serial)?.assignments.push(heldOf(row));
  const asking = [...rows.filter(({ state }) => OPEN.includes(state)), ...stragglers];
  return [...new Set(asking.map(({ rollout }) => rollout))];
}

export function heldOf(row: Row<'assignments'>): Held {
  return {
    id: row.id,
    rollout: row.rollout,
    step: row.step,
    fromSha256: row.from_sha256,
    fallback: row.fallback,
    backOfferedAt: row.back_offered_at?.getTime() ?? null,
    state: row.state,
    offeredAt: row.offered_at?.getTime() ?? null,
    activatedAt: row.activated_at?.getTime() ?? null,
    confirmedAt: row.confirmed_at?.getTime() ?? null,
    deadlineAt: row.deadline_at?.getTime() ?? null,
    code: row.code,
    detail: row.detail,
  };
}

/** Locks rollouts for share and reads them as they are under the lock. */
export async function lockRollouts(
  trx: Transaction<Database>,
  organisation: string,
  ids: readonly string[],
): Promise<Watched[]> {
  if (ids.length === 0) return [];
  const rows = await trx
    .selectFrom('rollouts')
    .select(['state', 'mean_rates'])
    .where('organisation', '=', organisation)
    .where('id', 'in', ids)
    .orderBy('id')
    .forShare()
    .execute();
  return rows.map((row) => ({ rollout: row.state, meanRates: row.mean_rates }));
}

function digestsOf({ rollouts, visitors }: Batch): string[] {
  const releases = [...rollouts.values()].map(({ rollout }) => rollout.release.sha256);
  const fallbacks = [...visitors.values()].flatMap(({ assignments }) =>
    assignments.flatMap(({ fallback }) => fallback?.sha256 ?? []),
  );
  return [...new Set([...releases, ...fallbacks])];
}

async function loadLastEvents(
  trx: Transaction<Database>,
  batch: Batch,
  visits: readonly Visit[],
): Promise<void> {
  const telling = visits.filter(({ body }) => body.reports.some(({ events }) => events.length > 0));
  const serials = telling.map(({ charger }) => charger.serial).filter((serial) => batch.visitors.has(serial));
  if (serials.length === 0) return;
  const rows = await trx
    .selectFrom('last_events')
    .select(['serial', 'signal', 'at'])
    .where('organisation', '=', batch.organisation)
    .where('serial', 'in', serials)
    .execute();
  for (const { serial, signal, at } of rows) batch.visitors.get(serial)?.lastEvents.set(signal, at.getTime());
}
