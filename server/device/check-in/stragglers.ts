import { type Transaction, sql } from 'kysely';
import type { Database, Row } from '../../db/index.ts';
import type { Batch, Visit } from './batch.ts';

/**
 * Finds chargers that have just come to run a release which was rolled back, although it was thought that they had not taken it: failed,
 * or withdrawn before they activated it. They are sent back like the others, unless a later rollout of the release, with
 * approvals of its own, brought them there.
 *
 * Only a charger whose digest has changed since its last check-in is looked up, so that an idle poll costs nothing.
 *
 * @returns their assignments, which no other look at the batch finds.
 */
export async function findStragglers(
  trx: Transaction<Database>,
  { organisation, visitors }: Batch,
  visits: readonly Visit[],
): Promise<Row<'assignments'>[]> {
  const moved = new Map<string, string>();
  for (const { charger, body } of visits) {
    const before = visitors.get(charger.serial)?.running.sha256;
    const { sha256 } = body.running;
    if (before !== undefined && sha256 !== null && sha256 !== before) moved.set(charger.serial, sha256);
  }
  if (moved.size === 0) return [];
  return trx
    .selectFrom('assignments as a')
    .innerJoin('rollouts as r', (join) =>
      join.onRef('r.organisation', '=', 'a.organisation').onRef('r.id', '=', 'a.rollout'),
    )
    .selectAll('a')
    .where('a.organisation', '=', organisation)
    .where('a.state', 'in', ['FAILED', 'SKIPPED'])
    .where('r.status', '=', 'ROLLED_BACK')
    .where((eb) =>
      eb.or(
        [...moved].map(([serial, sha256]) =>
          eb.and([
            eb('a.serial', '=', serial),
            sql<boolean>`r.state #>> '{release,sha256}' = ${sha256}`,
            eb.not(
              eb.exists(sql`(
              select from assignments later
              join rollouts s on s.organisation = later.organisation and s.id = later.rollout
              where later.organisation = a.organisation and later.serial = a.serial
                and later.activated_at is not null and s.created_at > r.created_at
                and s.state #>> '{release,sha256}' = ${sha256})`),
            ),
          ]),
        ),
      ),
    )
    .orderBy('a.rollout')
    .execute();
}
