import { sql, type Transaction } from 'kysely';
import { allocate, drawOffset, type Rollout, type Stratum, WITHDRAWN } from '@tidegate/rollout/core';
import { ALREADY_ON_RELEASE } from '@tidegate/rollout/shell';
import { count } from '../moves.ts';
import type { Database } from '../schema.ts';
import { moveMany } from './move-many.ts';
import { UNDER_WAY } from './states.ts';

/**
 * Draws a step's cohort: each stratum's part, from the seed's place on its ring onward, past those that are taken. Run twice,
 * it finds its places filled and adds nobody; a step that was drawn short (chargers busy elsewhere) is filled up, and what a halt
 * withdrew from it, or from a step that it follows, is wanted again.
 */
export async function draw(
  trx: Transaction<Database>,
  rollout: Rollout,
  step: number,
  now: number,
): Promise<void> {
  await wantAgain(trx, rollout, step, now);
  const size = rollout.steps[step]?.size ?? 0;
  const missing = size - (await filled(trx, rollout, step));
  if (missing <= 0) return;
  for (const part of allocate(await strata(trx, rollout), missing)) {
    if (part.count > 0) await drawStratum(trx, rollout, step, part, now);
  }
}

async function wantAgain(
  trx: Transaction<Database>,
  rollout: Rollout,
  step: number,
  now: number,
): Promise<void> {
  await moveMany(trx, rollout, {
    which: sql`a.step <= ${step}::int and a.state = 'SKIPPED' and a.code = ${WITHDRAWN.code} and c.state = 'ACTIVE'
      and c.running_sha256 is distinct from ${rollout.release.sha256} and not ${busyElsewhere(rollout)}`,
    to: 'PENDING',
    set: sql`offered_at = null, deadline_at = null, code = null, detail = null`,
    at: new Date(now),
  });
}

/** Places that are taken. Where all that it drew were skipped, others take their places. */
async function filled(trx: Transaction<Database>, rollout: Rollout, step: number): Promise<number> {
  const { rows } = await sql<{ drawn: number; members: number }>`
    select coalesce(sum(chargers), 0)::bigint as drawn,
      coalesce(sum(chargers) filter (where state <> 'SKIPPED'), 0)::bigint as members
    from step_counts
    where organisation = ${rollout.organisation} and rollout = ${rollout.id} and step = ${step}`.execute(trx);
  const [found] = rows;
  return found === undefined || found.members === 0 ? 0 : found.drawn;
}

/** Chargers that this rollout has taken or may take, by stratum. */
async function strata(trx: Transaction<Database>, rollout: Rollout): Promise<Stratum[]> {
  const { rows } = await sql<Stratum>`
    select c.stratum, count(*) as size, count(mine.serial) as taken
    from chargers c
    left join assignments mine
      on mine.organisation = c.organisation and mine.serial = c.serial and mine.rollout = ${rollout.id}
    where c.organisation = ${rollout.organisation} and c.product = ${rollout.product} and c.state = 'ACTIVE'
      and (mine.serial is not null or not ${busyElsewhere(rollout)})
    group by c.stratum
    order by c.stratum`.execute(trx);
  return rows;
}

async function drawStratum(
  trx: Transaction<Database>,
  rollout: Rollout,
  step: number,
  part: { stratum: string; count: number },
  now: number,
): Promise<void> {
  const offset = drawOffset(rollout.seed, part.stratum);
  const fromOffset = sql`c.cohort_key >= ${offset}`;
  const roundTheRing = sql`c.cohort_key < ${offset}`;
  let missing = part.count;
  for (const arc of [fromOffset, roundTheRing]) {
    if (missing <= 0) return;
    const { rows } = await sql<{ state: 'PENDING' | 'SKIPPED'; chargers: number }>`
      with cohort as (
        select c.serial, c.site, c.running_sha256
        from chargers c
        where c.organisation = ${rollout.organisation} and c.product = ${rollout.product}
          and c.stratum = ${part.stratum} and c.state = 'ACTIVE' and ${arc}
          and not exists (select from assignments a where a.organisation = c.organisation
            and a.rollout = ${rollout.id} and a.serial = c.serial)
          and not ${busyElsewhere(rollout)}
        order by c.cohort_key, c.serial
        limit ${missing}
      ), made as (
        insert into assignments
          (organisation, rollout, serial, id, step, site, state, code, from_sha256, updated_at)
        select ${rollout.organisation}, ${rollout.id}, serial, 'a-' || replace(gen_random_uuid()::text, '-', ''),
          ${step}::int, site,
          case when running_sha256 = ${rollout.release.sha256} then 'SKIPPED' else 'PENDING' end,
          case when running_sha256 = ${rollout.release.sha256} then ${ALREADY_ON_RELEASE} end,
          running_sha256, ${new Date(now)}
        from cohort
        returning state
      )
      select state, count(*) as chargers from made group by state`.execute(trx);
    await count(
      trx,
      { organisation: rollout.organisation, rollout: rollout.id },
      rows.map(({ state, chargers }) => ({ step, state, by: chargers })),
    );
    missing -= rows.reduce((sum, { chargers }) => sum + chargers, 0);
  }
}

/** A charger takes part in one rollout at a time. */
function busyElsewhere(rollout: Rollout) {
  return sql`exists (
    select from assignments other
    join rollouts r on r.organisation = other.organisation and r.id = other.rollout
    where other.organisation = c.organisation and other.serial = c.serial and other.rollout <> ${rollout.id}
      and other.state = any(${UNDER_WAY})
      and r.status in ('RUNNING', 'PAUSED', 'HALTED', 'ROLLING_BACK'))`;
}
