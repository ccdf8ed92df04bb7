import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { TargetCustom } from '@tidegate/client-sdk/protocol';
import type { Rollout } from '@tidegate/rollout/core';
import {
  chooseFallback,
  NO_FALLBACK,
  NO_FALLBACK_DETAIL,
  type PublishedImage,
} from '@tidegate/rollout/shell';
import type { ChosenFallback, Database } from '../schema.ts';
import { count } from '../moves.ts';
import { publishedImages } from '../published-images.ts';
import { moveMany } from './move-many.ts';

const HOUR_MS = 3_600_000;

/**
 * Chooses a way down for every charger that runs the release or was last told to boot it, and sets it off. The choice depends on
 * what the charger ran before and on its hardware alone, so it is made once a combination, not once a charger.
 */
export async function rollBack(trx: Transaction<Database>, rollout: Rollout, now: number): Promise<void> {
  await takeIn(trx, rollout, new Date(now));
  const release = await releaseToLeave(trx, rollout);
  const published = await publishedImages(trx, rollout);
  const at = new Date(now);
  for (const charger of await combinations(trx, rollout)) {
    const way = chooseFallback({ ...release, published, charger, now });
    const which = sql`${onRelease(rollout)}
      and a.from_sha256 is not distinct from ${charger.before}::text and c.hardware = ${charger.hardware}`;
    if (way === undefined) await listAsStuck(trx, rollout, which, at);
    else await sendBack(trx, rollout, which, way, at);
  }
}

/**
 * Gives every charger that came to the release by another way an assignment in this rollout: a technician's hand, an adoption, or an
 * earlier rollout. Design §8.8: every charger on the release gets its fallback or is listed.
 */
async function takeIn(trx: Transaction<Database>, rollout: Rollout, at: Date): Promise<void> {
  const { organisation, id, product } = rollout;
  const step = Math.max(0, rollout.current);
  const { rows } = await sql<{ serial: string }>`
    insert into assignments (organisation, rollout, serial, id, step, site, state, activated_at, updated_at)
    select ${organisation}, ${id}, c.serial, 'a-' || replace(gen_random_uuid()::text, '-', ''),
      ${step}::int, c.site, 'HEALTHY', ${at}, ${at}
    from chargers c
    where c.organisation = ${organisation} and c.product = ${product} and c.state = 'ACTIVE' and ${runsIt(rollout)}
      and not exists (select from assignments a where a.organisation = c.organisation
        and a.rollout = ${id} and a.serial = c.serial)
    -- A check-in may have found it at the same moment.
    on conflict do nothing
    returning serial`.execute(trx);
  await count(trx, { organisation, rollout: id }, [{ step, state: 'HEALTHY', by: rows.length }]);
}

/** It reports the release, and no later rollout, with approvals of its own, brought it there. */
function runsIt(rollout: Rollout): RawBuilder<unknown> {
  return sql`c.running_sha256 = ${rollout.release.sha256} and not exists (
    select from assignments later
    join rollouts r on r.organisation = later.organisation and r.id = later.rollout
    where later.organisation = c.organisation and later.serial = c.serial and later.activated_at is not null
      and r.product = ${rollout.product} and r.version = ${rollout.release.version}
      and r.created_at > ${new Date(rollout.createdAt)} and r.id <> ${rollout.id})`;
}

async function sendBack(
  trx: Transaction<Database>,
  rollout: Rollout,
  which: RawBuilder<unknown>,
  { path, sha256, length, version }: PublishedImage,
  at: Date,
): Promise<void> {
  const fallback: ChosenFallback = { path, sha256, length, version };
  const deadline = new Date(at.getTime() + rollout.plan.deadlineHours * HOUR_MS);
  const set = sql`fallback = ${JSON.stringify(fallback)}::jsonb, activated_at = coalesce(a.activated_at, ${at}),
    offered_at = ${at}, back_offered_at = null, deadline_at = ${deadline}, code = null, detail = null`;
  await moveMany(trx, rollout, { which, to: 'ROLLING_BACK', set, at });
}

/**
 * Treated and not back yet, or on the release by another way: what runs the release runs it, whatever was thought of it.
 * A charger that fell back by itself runs its earlier image already.
 */
function onRelease(rollout: Rollout): RawBuilder<unknown> {
  return sql`a.state not in ('ROLLING_BACK', 'ROLLED_BACK') and (
    a.state in ('VERIFYING', 'HEALTHY') or (a.state = 'LOST' and a.activated_at is not null)
    or (${runsIt(rollout)}))`;
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

/** They stay where they are; one that was taken for skipped or failed is put down as what it is, on the release. */
async function listAsStuck(
  trx: Transaction<Database>,
  rollout: Rollout,
  which: RawBuilder<unknown>,
  at: Date,
): Promise<void> {
  const set = sql`code = ${NO_FALLBACK}, detail = ${NO_FALLBACK_DETAIL}`;
  const seen = sql`a.state in ('VERIFYING', 'HEALTHY', 'LOST')`;
  await moveMany(trx, rollout, { which: sql`${which} and not ${seen}`, to: 'HEALTHY', set, at });
  for (const state of ['VERIFYING', 'HEALTHY', 'LOST'] as const) {
    await moveMany(trx, rollout, { which: sql`${which} and a.state = ${state}`, to: state, set, at });
  }
}
