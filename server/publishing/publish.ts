import type { Transaction } from 'kysely';
import { Refusal } from '@tidegate/client-sdk/protocol';
import { appendAudit } from '../audit/index.ts';
import { type Database, inTransaction } from '../db/index.ts';
import { ApiError } from '../http/index.ts';
import { assemble, type Candidate } from './candidate.ts';
import { type Current, loadCurrent, loadRow, lockRepository } from './current.ts';
import { mirrorTimestamp, requireSettled, settle } from './fence.ts';
import { versionsIn } from './published-versions.ts';
import { recordPublication } from './record.ts';
import { markRefused } from './refused.ts';
import { type ReleaseChanges, reviewReleases } from './releases.ts';
import { dropStaged } from './staging.ts';
import { requireNobodyStranded } from './strand.ts';
import { NOBODY } from './stranded.ts';
import { listedDigests } from './digests.ts';
import type { Publication, Published, Publisher, PublishingDeps } from './types.ts';
import { storeDocuments } from './write.ts';

/**
 * One publication, whole or not at all.
 *
 * The commit of the database row that holds the new timestamp is the moment of change: before it, everything that was written
 * lies under names that nothing refers to; after it, `timestamp.json` follows, which the next start, refresh or publication writes
 * if a crash kept this one from it. Nothing is ever written in the place of something else but `timestamp.json`, and that only where it is
 * what this service has put there.
 *
 * @throws ApiError of this room's codes, Refusal where a charger would refuse; then nothing has changed, and what was uploaded for it is gone.
 */
export async function publish(
  deps: PublishingDeps,
  publication: Publication,
  publisher: Publisher,
): Promise<Published> {
  try {
    const published = await inTransaction(deps.db, (trx) => publishLocked(deps, trx, publication, publisher));
    if (published.changed) await mirrorTimestamp(deps);
    await dropStaged(deps, listedDigests(publication));
    return published;
  } catch (error) {
    // A failure of the service itself keeps the uploads: the same publication is simply sent again.
    if (error instanceof ApiError || error instanceof Refusal) {
      await dropStaged(deps, listedDigests(publication));
    }
    throw error;
  }
}

async function publishLocked(
  deps: PublishingDeps,
  trx: Transaction<Database>,
  publication: Publication,
  publisher: Publisher,
): Promise<Published> {
  const now = deps.clock.now();
  await lockRepository(trx, deps.organisation);
  const row = await loadRow(trx, deps.organisation);
  const replaces = await settle(deps, row);
  const current = row === undefined ? undefined : await loadCurrent(deps, row);
  const candidate = await assemble(deps, current, publication, now);
  if (candidate === undefined) return unchanged(current);
  const changes = await reviewReleases(deps, trx, candidate);
  const stranded =
    current === undefined
      ? NOBODY
      : await requireNobodyStranded(deps, trx, { current, candidate, changes }, publication.strand, now);
  await storeDocuments(deps, current, candidate, changes);
  await requireSettled(deps, replaces);
  await recordPublication(deps, trx, { current, candidate, changes, publisher, at: new Date(now) });
  if (current !== undefined) await markRefused(deps, trx, { current, candidate, changes });
  const published = summary(candidate, changes);
  await appendAudit(
    trx,
    deps.organisation,
    [
      {
        actor: publisher.name,
        action: current === undefined ? 'repository.bootstrap' : 'release.publish',
        subject:
          published.releases.map(({ product, version }) => `${product} ${version}`).join(', ') ||
          'repository',
        reason: publisher.reason,
        source: publisher.source,
        detail: { ...published, stranded },
      },
    ],
    new Date(now),
  );
  return published;
}

function unchanged(current: Current | undefined): Published {
  if (current === undefined) throw new ApiError('METADATA_REFUSED', 'The publication is empty.');
  return {
    changed: false,
    versions: versionsIn(current.row),
    releases: [],
    changedReleases: [],
    yanked: [],
  };
}

function summary(candidate: Candidate, changes: ReleaseChanges): Published {
  const { root, targets, roles } = candidate.versions;
  return {
    changed: true,
    versions: {
      root,
      targets,
      snapshot: candidate.snapshot.version,
      timestamp: candidate.timestamp.version,
      roles,
    },
    releases: changes.added.map(({ product, target }) => ({
      product,
      version: target.custom.version,
      path: target.path,
      sha256: target.sha256,
    })),
    changedReleases: changes.changed.map(({ product, target }) => ({
      product,
      version: target.custom.version,
    })),
    yanked: changes.yanked.map(({ path }) => path),
  };
}
