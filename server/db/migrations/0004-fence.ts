import { type Kysely, sql } from 'kysely';

/** What `timestamp.json` in the store may be after a crash: the current one or the one before it. Anything else, somebody else has written. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Null: there was none before, or it is not known; then the next publication or refresh tells it.
    alter table repository add column previous_timestamp_sha256 text;
  `.execute(db);
}
