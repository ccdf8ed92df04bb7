import { type Transaction, sql } from 'kysely';
import { type Database, type Row, count } from '../../db/index.ts';
import type { Batch, Visit } from './batch.ts';

/** A charger that has just come to run a release which a rollout takes back, or has taken back. */
interface Straggler {
  serial: string;
  site: string;
  rollout: string;
  step: number;
}

/**
 * Finds chargers that have just come to run a release which was rolled back, although it was thought that they are off it: failed,
 * withdrawn, back on their fallback already, or never part of the rollout at all (a technician's hand, a restored backup). They are
 * sent back like the others, unless a later rollout of the release, with approvals of its own, brought them there.
 * Design §8.8: every charger on the release gets its fallback or is listed.
 *
 * Only a charger whose digest has changed since its last check-in is looked up, so that an idle poll costs nothing.
 *
 * @returns their assignments, as far as they are thought to be off the release. Those without one get it here; the worker that is
 *   rung chooses their way back.
 */
export async function findStragglers(
  trx: Transaction<Database>,
  batch: Batch,
  visits: readonly Visit[],
): Promise<Row<'assignments'>[]> {
  const moved: { serial: string; sha256: string }[] = [];
  for (const { charger, body } of visits) {
    const before = batch.visitors.get(charger.serial)?.running.sha256;
    const { sha256 } = body.running;
    if (before === undefined || sha256 === null || sha256 === before) continue;
    moved.push({ serial: charger.serial, sha256 });
  }
  const stragglers = moved.length === 0 ? [] : await takenBack(trx, batch, moved);
  if (stragglers.length === 0) return [];
  await takeIn(trx, batch, stragglers);
  return trx
    .selectFrom('assignments')
    .selectAll()
    .where('organisation', '=', batch.organisation)
    .where('state', 'in', ['FAILED', 'SKIPPED', 'ROLLED_BACK'])
    .where((where) => where.or(stragglers.map(({ serial, rollout }) => where.and({ serial, rollout }))))
    .orderBy('rollout')
    .execute();
}

/** For each charger the last rollout that takes what it runs back, if no later one brought it there. */
async function takenBack(
  trx: Transaction<Database>,
  { organisation }: Batch,
  moved: readonly { serial: string; sha256: string }[],
): Promise<Straggler[]> {
  const { rows } = await sql<Straggler>`
    select distinct on (c.serial) c.serial, c.site, r.id as rollout, greatest(0, (r.state ->> 'current')::int) as step
    from jsonb_to_recordset(${JSON.stringify(moved)}::jsonb) as m (serial text, sha256 text)
    join chargers c on c.organisation = ${organisation} and c.serial = m.serial
    join rollouts r on r.organisation = c.organisation and r.product = c.product
      and r.status in ('ROLLING_BACK', 'ROLLED_BACK') and r.state #>> '{release,sha256}' = m.sha256
    where not exists (
      select from assignments later
      join rollouts s on s.organisation = later.organisation and s.id = later.rollout
      where later.organisation = c.organisation and later.serial = c.serial and later.activated_at is not null
        and s.created_at > r.created_at and s.state #>> '{release,sha256}' = m.sha256)
    order by c.serial, r.created_at desc`.execute(trx);
  return rows;
}

async function takeIn(
  trx: Transaction<Database>,
  { organisation, now, changed }: Batch,
  stragglers: readonly Straggler[],
): Promise<void> {
  const at = new Date(now);
  const { rows } = await sql<{ rollout: string; step: number }>`
    insert into assignments (organisation, rollout, serial, id, step, site, state, activated_at, updated_at)
    select ${organisation}, rollout, serial, 'a-' || replace(gen_random_uuid()::text, '-', ''), step, site,
      'HEALTHY', ${at}, ${at}
    from jsonb_to_recordset(${JSON.stringify(stragglers)}::jsonb)
      as found (serial text, site text, rollout text, step int)
    on conflict do nothing
    returning rollout, step`.execute(trx);
  for (const { rollout, step } of rows) {
    await count(trx, { organisation, rollout }, [{ step, state: 'HEALTHY', by: 1 }]);
    changed.add(rollout);
  }
}
