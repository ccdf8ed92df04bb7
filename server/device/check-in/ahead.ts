/** Chargers that trust newer metadata than this service has: it was restored from a backup, or somebody lies. Design §3, "Long absence" */
import { type Transaction, sql } from 'kysely';
import type { CheckIn } from '@tidegate/client-sdk/protocol';
import type { AuditEntry } from '@tidegate/rollout/shell';
import type { Database } from '../../db/index.ts';
import {
  type Ahead,
  aheadOf,
  believedVersion,
  type Claim,
  countWitnesses,
  isPlausible,
  loadClaims,
  publishedVersion,
  type PublishedVersions,
} from '../../publishing/index.ts';
import type { Batch, Visit, Visitor } from './batch.ts';

export interface MarksTaken {
  /** Every role in which chargers are ahead. */
  ahead: Ahead[];
  /** Chargers of this batch whose own word is possible, whether or not others say the same. */
  alone: Set<string>;
  /** Chargers that said so for the first time: for log and audit. */
  news: Claim[];
}

/** Takes what the chargers of a batch say that they trust. One look at an all but empty table, where nobody is ahead. */
export async function takeMarks(
  trx: Transaction<Database>,
  batch: Pick<Batch, 'organisation' | 'visitors' | 'now'>,
  visits: readonly Visit[],
  published: PublishedVersions,
): Promise<MarksTaken> {
  const { organisation, visitors, now } = batch;
  const before = await loadClaims(trx, organisation);
  const said = visits.flatMap(({ charger, body }) => {
    const visitor = visitors.get(charger.serial);
    return visitor === undefined ? [] : claimsOf(visitor, body.marks);
  });
  const above = said.filter(({ role, version }) => version > (publishedVersion(published, role) ?? Infinity));
  if (before.length === 0 && above.length === 0) return { ahead: [], alone: new Set(), news: [] };

  const witnesses = await countWitnesses(trx, organisation);
  const known = new Map(before.map((claim) => [keyOf(claim), claim]));
  const standing = aheadOf(published, before, witnesses, now);
  // What three bear out already needs no fourth: the table stays small however large the fleet is.
  const needed = said.filter((claim) => {
    if (known.has(keyOf(claim))) return known.get(keyOf(claim))?.version !== claim.version;
    return above.includes(claim) && claim.version > believedVersion(standing, claim.role);
  });
  const news = await keep(trx, organisation, needed, now);
  for (const claim of needed) known.set(keyOf(claim), claim);
  const possible = above.filter(({ role, version }) => isPlausible(published, role, version, now));
  return {
    ahead: aheadOf(published, [...known.values()], witnesses, now),
    alone: new Set(possible.map(({ serial }) => serial)),
    news,
  };
}

/** Every role that the charger names; older firmware names two. */
function claimsOf({ serial, site, product }: Visitor, marks: CheckIn['marks']): Claim[] {
  const { product: own, ...topLevel } = marks;
  return Object.entries({ ...topLevel, ...(own === undefined ? {} : { [product]: own }) }).map(
    ([role, version]) => ({ role, version, serial, site }),
  );
}

function keyOf({ role, serial }: Pick<Claim, 'role' | 'serial'>): string {
  return `${role} ${serial}`;
}

/** @returns those that were not there before. */
async function keep(
  trx: Transaction<Database>,
  organisation: string,
  claims: readonly Claim[],
  now: number,
): Promise<Claim[]> {
  if (claims.length === 0) return [];
  const at = new Date(now);
  const { rows } = await sql<{ role: string; serial: string; fresh: boolean }>`
    insert into ahead_marks (organisation, serial, role, version, first_at, at)
    select ${organisation}, serial, role, version, ${at}::timestamptz, ${at}::timestamptz
    from jsonb_to_recordset(${JSON.stringify(claims)}::jsonb) as said (serial text, role text, version bigint)
    order by role, serial
    on conflict (organisation, role, serial) do update set version = excluded.version, at = excluded.at
    returning role, serial, xmax = 0 as fresh`.execute(trx);
  const fresh = new Set(rows.filter((row) => row.fresh).map(keyOf));
  return claims.filter((claim) => fresh.has(keyOf(claim)));
}

/** A security event: a restored service, or a stolen identity that tries to stop one. */
export function auditOf(news: readonly Claim[], published: PublishedVersions): AuditEntry[] {
  return news.map(({ role, version, serial, site }) => ({
    actor: serial,
    action: 'charger.ahead',
    subject: serial,
    reason: `It trusts ${role} ${version}; ${publishedVersion(published, role)} is published.`,
    source: 'check-in',
    detail: { role, version, published: publishedVersion(published, role) ?? null, site },
  }));
}
