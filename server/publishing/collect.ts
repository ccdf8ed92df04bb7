/** Removes from the store what nobody needs any more; `collect-rule.ts` says what that is. */
import type { Transaction } from 'kysely';
import { FINAL_STATUSES } from '@tidegate/rollout/core';
import { appendAudit } from '../audit/index.ts';
import { type Database, inTransaction } from '../db/index.ts';
import { type Collectable, collectable, type Inventory } from './collect-rule.ts';
import { loadRow, lockRepository } from './current.ts';
import { settle } from './fence.ts';
import type { Publisher, PublishingDeps } from './types.ts';

/** What a collection would take now. Nothing is changed. */
export function findCollectable(deps: PublishingDeps): Promise<Collectable> {
  return inTransaction(deps.db, async (trx) => {
    return collectable(await takeInventory(deps, trx), deps.clock.now());
  });
}

/**
 * Takes it. Under the publishing lock, so that nothing which is taken is published again meanwhile. What goes is recorded first: a collection that
 * is cut off has rolled back, and the next one finds the same, gone or not.
 * @throws ApiError `REPOSITORY_FENCED`
 */
export function collectGarbage(deps: PublishingDeps, by: Publisher): Promise<Collectable> {
  return inTransaction(deps.db, async (trx) => {
    await lockRepository(trx, deps.organisation);
    await settle(deps, await loadRow(trx, deps.organisation));
    const now = deps.clock.now();
    const found = collectable(await takeInventory(deps, trx), now);
    await record(deps, trx, found, by, new Date(now));
    for (const { keys } of found.releases) for (const key of keys) await deps.blobs.remove(key);
    for (const key of found.documents) await deps.blobs.remove(key);
    return found;
  });
}

async function takeInventory(
  { organisation }: PublishingDeps,
  trx: Transaction<Database>,
): Promise<Inventory> {
  const timestamps = await trx
    .selectFrom('timestamps')
    .selectAll()
    .where('organisation', '=', organisation)
    .orderBy('version')
    .execute();
  const releases = await trx
    .selectFrom('releases')
    .selectAll()
    .where('organisation', '=', organisation)
    .where('collected_at', 'is', null)
    .execute();
  const running = await trx
    .selectFrom('chargers')
    .select('running_sha256 as sha256')
    .distinct()
    .where('organisation', '=', organisation)
    .where('state', '<>', 'RETIRED')
    .where('running_sha256', 'is not', null)
    .execute();
  const rollouts = await trx
    .selectFrom('rollouts')
    .select(['id', 'product', 'version'])
    .where('organisation', '=', organisation)
    .where('status', 'not in', FINAL_STATUSES)
    .execute();
  const brought = new Set(rollouts.map(({ product, version }) => `${product} ${version}`));
  const back = await trx
    .selectFrom('assignments')
    .select(['from_sha256', 'fallback'])
    .distinct()
    .where('organisation', '=', organisation)
    .where('rollout', 'in', [...rollouts.map(({ id }) => id), ''])
    .execute();
  return {
    timestamps: timestamps.map((row) => ({
      version: row.version,
      at: row.at.getTime(),
      snapshot: row.snapshot_version,
      targets: row.targets_version,
      roles: row.roles,
    })),
    releases: releases.map(({ path, sha256, length, custom, yanked_at }) => ({
      target: { path, sha256, length, custom },
      yankedAt: yanked_at?.getTime() ?? null,
    })),
    running: new Set(running.flatMap(({ sha256 }) => sha256 ?? [])),
    planned: new Set([
      ...releases
        .filter(({ product, version }) => brought.has(`${product} ${version}`))
        .map(({ sha256 }) => sha256),
      ...back.flatMap(({ from_sha256, fallback }) => [from_sha256 ?? [], fallback?.sha256 ?? []].flat()),
    ]),
  };
}

async function record(
  { organisation }: PublishingDeps,
  trx: Transaction<Database>,
  { timestamps, documents, releases }: Collectable,
  by: Publisher,
  at: Date,
): Promise<void> {
  if (timestamps.length === 0 && documents.length === 0 && releases.length === 0) return;
  const paths = releases.map(({ path }) => path);
  await trx
    .updateTable('releases')
    .set({ collected_at: at })
    .where('organisation', '=', organisation)
    .where('path', 'in', [...paths, ''])
    .execute();
  await trx
    .deleteFrom('timestamps')
    .where('organisation', '=', organisation)
    .where('version', 'in', [...timestamps, 0])
    .execute();
  const entry = {
    actor: by.name,
    action: 'repository.collect',
    subject: 'repository',
    reason: by.reason,
    source: by.source,
    detail: { documents: documents.length, releases: paths },
  };
  await appendAudit(trx, organisation, [entry], at);
}
