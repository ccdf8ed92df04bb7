/** What publishing must know of the chargers of a product. */
import { type Transaction, sql } from 'kysely';
import type { Database } from '../db/index.ts';
import type { Kind } from './strand-rule.ts';

/** Serial numbers that a refusal names itself, for each kind; `GET /fleet` gives them all. */
const SHOWN = 20;

/** Active chargers, counted by what they are and run. */
export async function kindsOf(
  trx: Transaction<Database>,
  organisation: string,
  product: string,
): Promise<(Kind & { chargers: number })[]> {
  const rows = await trx
    .selectFrom('chargers')
    .select([
      'hardware',
      'running_sha256 as sha256',
      'running_version as version',
      'running_security_version as securityVersion',
      sql<number>`count(*)`.as('chargers'),
    ])
    .where('organisation', '=', organisation)
    .where('product', '=', product)
    .where('state', '=', 'ACTIVE')
    .groupBy(['hardware', 'running_sha256', 'running_version', 'running_security_version'])
    .orderBy('hardware')
    .orderBy('running_version')
    .execute();
  return rows;
}

export async function serialsOf(
  trx: Transaction<Database>,
  organisation: string,
  product: string,
  { hardware, sha256, version, securityVersion }: Kind,
): Promise<string[]> {
  const rows = await trx
    .selectFrom('chargers')
    .select('serial')
    .where('organisation', '=', organisation)
    .where('product', '=', product)
    .where('state', '=', 'ACTIVE')
    .where('hardware', '=', hardware)
    .where('running_sha256', sql`is not distinct from`, sha256)
    .where('running_version', sql`is not distinct from`, version)
    .where('running_security_version', sql`is not distinct from`, securityVersion)
    .orderBy('serial')
    .limit(SHOWN)
    .execute();
  return rows.map(({ serial }) => serial);
}

/** Rollouts that may still let chargers in, by the version that they bring. A halted one takes chargers back, and brings nothing. */
export async function liveRollouts(
  trx: Transaction<Database>,
  organisation: string,
  product: string,
): Promise<Map<string, string>> {
  const rows = await trx
    .selectFrom('rollouts')
    .select(['id', 'version'])
    .where('organisation', '=', organisation)
    .where('product', '=', product)
    .where('status', 'in', ['AWAITING_APPROVAL', 'SCHEDULED', 'RUNNING', 'PAUSED'])
    .execute();
  return new Map(rows.map((row) => [row.version, row.id]));
}
