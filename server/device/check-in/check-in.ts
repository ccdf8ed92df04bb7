import type { Transaction } from 'kysely';
import type { CheckInAnswer } from '@tidegate/client-sdk/protocol';
import type { RolloutRef } from '@tidegate/rollout/shell';
import { type Database, inTransaction } from '../../db/index.ts';
import { ApiError } from '../../http/index.ts';
import { appendAudit } from '../../audit/index.ts';
import { type Claim, isBehind } from '../../publishing/index.ts';
import { detailOf, repositoryBehind } from '../behind.ts';
import { type DeviceDeps, deviceConfig } from '../deps.ts';
import { nextSequence, signDirective } from '../directive.ts';
import type { Outcome } from '../group-commit.ts';
import { type RepositoryState, repositoryState } from '../repository-state.ts';
import { auditOf, type MarksTaken, takeMarks } from './ahead.ts';
import type { Batch, Visit, Visitor } from './batch.ts';
import { Evidence } from './evidence.ts';
import { Limits } from './limits.ts';
import { loadBatch } from './load.ts';
import { type Want, mayNeedRoom, wantOf } from './offer.ts';
import { takeProgress } from './progress.ts';
import { takeReports } from './reports.ts';
import { namedReports, runningOf } from './running.ts';
import { writeEvidence, writeVisitors } from './write.ts';

/** What a batch came to: an answer or a refusal for each visit, and the rollouts to ring for. */
export interface CheckedIn {
  outcomes: Outcome<CheckInAnswer>[];
  changed: RolloutRef[];
  /** Chargers that said that they run a release without the service's confirmation: counted on neither side. */
  unconfirmed: { rollout: string; serial: string }[];
  /** Chargers that said for the first time that they trust newer metadata than there is. */
  ahead: Claim[];
}

/**
 * Takes a batch of check-ins in one transaction. When this returns, everything that the answers say has been committed.
 *
 * Refusals of one charger are outcomes; only the database's own failures are thrown, and then nothing was written.
 */
export function checkInBatch(deps: DeviceDeps, visits: readonly Visit[]): Promise<CheckedIn> {
  const { organisation } = deps;
  return inTransaction(deps.db, async (trx) => {
    const now = deps.clock.now();
    const repository = await repositoryState(trx, organisation);
    const batch = await loadBatch(trx, organisation, visits, now);
    const counted = visits.filter(
      (visit) => refusalOf(visit, batch.visitors.get(visit.charger.serial)) === undefined,
    );
    const marks = await takeMarks(trx, batch, counted, repository.versions);
    const limits = new Limits(trx, organisation);
    if (asksForRoom(batch)) await limits.take();
    const evidence = new Evidence();
    const outcomes: Outcome<CheckInAnswer>[] = [];
    const heard = new Set<string>();
    for (const visit of visits) {
      const visitor = batch.visitors.get(visit.charger.serial);
      const refusal = refusalOf(visit, visitor);
      if (visitor === undefined || refusal !== undefined) {
        outcomes.push({ ok: false, error: refusal });
        continue;
      }
      heard.add(visitor.serial);
      visitor.marks = visit.body.marks;
      // Nothing of it is taken, so that nothing is acknowledged and lost; but it has been heard.
      const behind = behindFor(visitor.serial, marks);
      if (behind !== undefined) {
        outcomes.push({ ok: false, error: behind });
        continue;
      }
      const want = await take(trx, visit, visitor, batch, evidence, limits, repository);
      outcomes.push({ ok: true, value: await answer(deps, visit, visitor, want, repository, now) });
    }
    // Whoever was refused has not been heard: an old certificate does not keep a charger online.
    for (const serial of batch.visitors.keys()) if (!heard.has(serial)) batch.visitors.delete(serial);
    await writeEvidence(trx, batch, evidence);
    await writeVisitors(trx, batch);
    const changed = [...batch.changed].map((id) => ({ organisation, id }));
    await appendAudit(trx, organisation, auditOf(marks.news, repository.versions), new Date(now));
    return { outcomes, changed, unconfirmed: evidence.unconfirmed(), ahead: marks.news };
  });
}

/** Between the look at its certificate and this transaction a charger may have been retired or enrolled again. */
function refusalOf({ charger }: Visit, visitor: Visitor | undefined): ApiError | undefined {
  if (visitor === undefined) return new ApiError('CHARGER_RETIRED', charger.serial);
  if (visitor.certificateSha256 === charger.certificateSha256) return undefined;
  return new ApiError('CHARGER_UNKNOWN', 'The charger was enrolled again.');
}

/**
 * A service that was restored from a backup serves nothing until it is above what chargers report; nor does it serve a charger that alone says
 * so, whose refusals would otherwise end what it was doing. Design §3
 */
function behindFor(serial: string, { ahead, alone }: MarksTaken): ApiError | undefined {
  if (isBehind(ahead)) return repositoryBehind(detailOf(ahead));
  if (!alone.has(serial)) return undefined;
  return repositoryBehind('This charger trusts newer metadata than the service has.');
}

function asksForRoom({ visitors, rollouts, now }: Batch): boolean {
  return [...visitors.values()].some(({ assignments }) =>
    assignments.some((held) => mayNeedRoom(held, rollouts.get(held.rollout), now)),
  );
}

async function take(
  trx: Transaction<Database>,
  { body }: Visit,
  visitor: Visitor,
  batch: Batch,
  evidence: Evidence,
  limits: Limits,
  repository: RepositoryState,
): Promise<Want> {
  const running = await runningOf(trx, batch.organisation, visitor, body.running);
  takeReports(visitor, namedReports(body, running.sha256), batch, evidence);
  visitor.running = running;
  visitor.charging = body.charging;
  // After its reports: an episode that silence has counted is known by the charger being offline until now.
  visitor.online = true;
  await takeProgress(trx, visitor, body.assignment, batch, limits);
  // Who says what cannot be is told what is current, and offered nothing before it has taken that.
  const { root, timestamp } = body.marks;
  if (timestamp > repository.versions.timestamp || root > repository.versions.root)
    return { wish: { action: 'none' }, busy: false };
  return wantOf(trx, visitor, body.assignment, batch, limits);
}

async function answer(
  deps: DeviceDeps,
  { body }: Visit,
  visitor: Visitor,
  want: Want,
  repository: RepositoryState,
  now: number,
): Promise<CheckInAnswer> {
  const { idlePollSeconds, busyPollSeconds } = deviceConfig(deps);
  visitor.lastSequence = nextSequence(visitor.lastSequence, now);
  const { organisation, director } = deps;
  const { serial, lastSequence: sequence } = visitor;
  const { timestamp, versions, epoch } = repository;
  const to = { organisation, serial, nonce: body.nonce, epoch, sequence };
  return {
    directive: await signDirective(director, to, want.wish, now),
    timestamp,
    rootVersion: versions.root,
    acknowledged: visitor.lastReport,
    pollAfter: want.busy ? busyPollSeconds : idlePollSeconds,
  };
}
