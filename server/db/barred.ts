/** Images that nobody is to be sent to any more, whatever an earlier plan says: yanked, or refused by the policy that is published. */
import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Database } from './schema.ts';

/**
 * Why a release is barred, or null.
 * @param release alias of its `releases` row · @param repository alias of the organisation's `repository` row; nulls before the first publication
 */
export function barredBecause(release: string, repository: string): RawBuilder<string | null> {
  const r = (column: string) => sql.ref(`${release}.${column}`);
  const policy = sql.ref(`${repository}.policy`);
  const limit = (name: string) =>
    sql`(${policy} #>> array['products', ${r('product')}, ${sql.lit(name)}])::bigint`;
  return sql<string | null>`case
    when ${r('yanked_at')} is not null then 'yanked'
    when jsonb_exists(${policy} #> '{denied,digests}', ${r('sha256')}) then 'denied'
    when ${r('security_version')} < ${limit('emergencyFloor')} then 'below the emergency floor'
    when ${r('security_version')} > ${limit('securityVersionCap')} then 'above the cap'
    when ${r('refused')} is not null then 'refused: ' || ${r('refused')}
  end`;
}

/** Those of these images that are barred, by digest, and why. */
export async function barredDigests(
  db: Kysely<Database>,
  organisation: string,
  digests: readonly string[],
): Promise<Map<string, string>> {
  if (digests.length === 0) return new Map();
  const { rows } = await sql<{ sha256: string; because: string | null }>`
    select r.sha256, ${barredBecause('r', 'p')} as because
    from releases r left join repository p on p.organisation = r.organisation
    where r.organisation = ${organisation} and r.sha256 in (${sql.join(digests)})`.execute(db);
  return new Map(rows.flatMap(({ sha256, because }) => (because === null ? [] : [[sha256, because]])));
}
