import { type Kysely, sql } from 'kysely';

/** What the policy refuses for a reason that only its attestations tell: a builder that is compromised, a signer on the deny list, an SBOM that is missing. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Code of the refusal. Looked at again by each publication for what a rollout brings or may send back to; null elsewhere.
    alter table releases add column refused text;
  `.execute(db);
}
