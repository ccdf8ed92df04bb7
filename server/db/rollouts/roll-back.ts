import { sql, type Transaction } from 'kysely';
import type { TargetCustom } from '@tidegate/client-sdk/protocol';
import type { Rollout } from '@tidegate/rollout/core';
import { chooseFallback, type PublishedImage } from '@tidegate/rollout/shell';
import type { ChosenFallback, Database } from '../schema.ts';
import { moveMany } from './move-many.ts';

/** No signed, unexpired, published way down fits this charger; it keeps running the release and is listed. */
export const NO_FALLBACK = 'NO_FALLBACK';

const HOUR_MS = 3_600_000;

/**
 * Chooses a way down for every charger that runs the release or was last told to boot it, and sets it off. The choice depends on
 * what the charger ran before and on its hardware alone, so it is made once a combination, not once a charger.
 */
export async function rollBack(trx: Transaction<Database>, rollout: Rollout, now: number): Promise<void> {
  const release = await releaseToLeave(trx, rollout);
  const published = await publishedImages(trx, rollout);
  const deadline = new Date(now + rollout.plan.deadlineHours * HOUR_MS);
  for (const { before, hardware } of await combinations(trx, rollout)) {
    const charger = { before, hardware };
    const way = chooseFallback({ ...release, published, charger, now });
    const which = sql`${onRelease(rollout)}
      and a.from_sha256 is not distinct from ${before}::text and c.hardware = ${hardware}`;
    if (way === undefined) {
      await listAsStuck(trx, rollout, before, hardware, now);
      continue;
    }
    const { path, sha256, length, version } = way;
    const fallback: ChosenFallback = { path, sha256, length, version };
    await moveMany(trx, rollout, {
      which,
      to: 'ROLLING_BACK',
      set: sql`fallback = ${JSON.stringify(fallback)}::jsonb, deadline_at = ${deadline}, code = null, detail = null`,
      at: new Date(now),
    });
  }
  await countStuck(trx, rollout);
}

/** Treated and not back yet, or on the release by another way. A charger that fell back by itself runs its earlier image already. */
function onRelease(rollout: Rollout) {
  return sql`a.state not in ('ROLLING_BACK', 'ROLLED_BACK') and (
    c.running_sha256 = ${rollout.release.sha256}
    or (a.activated_at is not null and a.state not in ('FAILED', 'SKIPPED')))`;
}

async function combinations(
  trx: Transaction<Database>,
  rollout: Rollout,
): Promise<{ before: string | null; hardware: string }[]> {
  const { rows } = await sql<{ before: string | null; hardware: string }>`
    select distinct a.from_sha256 as before, c.hardware
    from assignments a
    join chargers c on c.organisation = a.organisation and c.serial = a.serial
    where a.organisation = ${rollout.organisation} and a.rollout = ${rollout.id} and ${onRelease(rollout)}`.execute(
    trx,
  );
  return rows;
}

async function releaseToLeave(
  trx: Transaction<Database>,
  rollout: Rollout,
): Promise<{ fallback: TargetCustom['fallback']; securityVersion: number }> {
  const { custom, security_version } = await trx
    .selectFrom('releases')
    .select(['custom', 'security_version'])
    .where('organisation', '=', rollout.organisation)
    .where('product', '=', rollout.product)
    .where('version', '=', rollout.release.version)
    .executeTakeFirstOrThrow();
  return { fallback: custom.fallback, securityVersion: security_version };
}

async function publishedImages(trx: Transaction<Database>, rollout: Rollout): Promise<PublishedImage[]> {
  const rows = await trx
    .selectFrom('releases')
    .select(['path', 'sha256', 'length', 'version', 'security_version', 'custom', 'yanked_at'])
    .where('organisation', '=', rollout.organisation)
    .where('product', '=', rollout.product)
    .execute();
  return rows.map((row) => ({
    path: row.path,
    sha256: row.sha256,
    length: row.length,
    version: row.version,
    securityVersion: row.security_version,
    hardware: row.custom.hardware,
    yanked: row.yanked_at !== null,
  }));
}

async function listAsStuck(
  trx: Transaction<Database>,
  rollout: Rollout,
  before: string | null,
  hardware: string,
  now: number,
): Promise<void> {
  await sql`
    update assignments a set code = ${NO_FALLBACK}, updated_at = ${new Date(now)},
      detail = 'No signed, unexpired and published fallback fits this charger.'
    from chargers c
    where c.organisation = a.organisation and c.serial = a.serial
      and a.organisation = ${rollout.organisation} and a.rollout = ${rollout.id} and ${onRelease(rollout)}
      and a.from_sha256 is not distinct from ${before}::text and c.hardware = ${hardware}`.execute(trx);
}

async function countStuck(trx: Transaction<Database>, rollout: Rollout): Promise<void> {
  await sql`
    update rollouts set without_fallback = (
      select count(*) from assignments a
      where a.organisation = ${rollout.organisation} and a.rollout = ${rollout.id} and a.code = ${NO_FALLBACK})
    where organisation = ${rollout.organisation} and id = ${rollout.id}`.execute(trx);
}
