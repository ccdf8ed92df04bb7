/** What chargers claim to trust, as the database has it. */
import { sql } from 'kysely';
import type { Db } from '../db/index.ts';
import { loadVersions } from './published-versions.ts';
import { type Ahead, aheadOf, type Claim, WITNESSES, type Witnesses } from './standing.ts';

/** Of one role. More change nothing: three at two sites decide, and those beyond are not kept once they are believed. */
const MOST_CLAIMS = 200;

/**
 * Roles in which chargers are ahead of this service; empty, after one look at an all but empty table, where none is.
 * @param now ms of the fleet's clock.
 */
export async function loadAhead(db: Db, organisation: string, now: number): Promise<Ahead[]> {
  const claims = await loadClaims(db, organisation);
  if (claims.length === 0) return [];
  const published = await loadVersions(db, organisation);
  if (published === undefined) return [];
  return aheadOf(published, claims, await countWitnesses(db, organisation), now);
}

/** The latest words of active chargers that were ever ahead, the highest of each role first. */
export async function loadClaims(db: Db, organisation: string): Promise<Claim[]> {
  const { rows } = await sql<Claim>`
    select role, version, serial, site from (
      select a.role, a.version, a.serial, c.site,
        row_number() over (partition by a.role order by a.version desc) as place
      from ahead_marks a join chargers c using (organisation, serial)
      where a.organisation = ${organisation} and c.state = 'ACTIVE') as ranked
    where place <= ${MOST_CLAIMS}`.execute(db);
  return rows;
}

/** Counts no further than it matters. */
export async function countWitnesses(db: Db, organisation: string): Promise<Witnesses> {
  const { rows } = await sql<Witnesses>`
    select
      (select count(*) from (select from chargers where organisation = ${organisation} and state = 'ACTIVE'
        limit ${WITNESSES.chargers}) as counted) as chargers,
      (select count(*) from (select from sites s where organisation = ${organisation} and exists (
        select from chargers c where c.organisation = s.organisation and c.site = s.id and c.state = 'ACTIVE')
        limit ${WITNESSES.sites}) as counted) as sites`.execute(db);
  return rows[0] ?? { chargers: 0, sites: 0 };
}

/** Words that no longer say anything are forgotten after this long; until then the same charger is not told of again. */
const FORGOTTEN_AFTER_MS = 7 * 24 * 60 * 60 * 1000;

/** Removes what chargers said that this service has caught up with, or that they took back. @returns how many. */
export async function sweepClaims(db: Db, organisation: string, now: number): Promise<number> {
  const published = await loadVersions(db, organisation);
  if (published === undefined) return 0;
  const { root, targets, snapshot, timestamp, roles } = published;
  const versions = JSON.stringify({ ...roles, root, targets, snapshot, timestamp });
  const { numAffectedRows } = await sql`
    delete from ahead_marks
    where organisation = ${organisation} and at < ${new Date(now - FORGOTTEN_AFTER_MS)}
      and version <= coalesce((${versions}::jsonb ->> role)::bigint, version)`.execute(db);
  return Number(numAffectedRows ?? 0n);
}
