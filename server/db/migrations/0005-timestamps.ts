import { type Kysely, sql } from 'kysely';

/** What each timestamp led to and since when: what no recent one leads to may be collected. Files of earlier timestamps are not known, and stay. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table timestamps (
      organisation text not null references organisations(id),
      version bigint not null,
      at timestamptz not null,
      snapshot_version bigint not null,
      targets_version bigint not null,
      -- Version of each product role.
      roles jsonb not null,
      primary key (organisation, version)
    );
    -- When the files of a yanked release were collected; null while they are there.
    alter table releases add column collected_at timestamptz;
  `.execute(db);
}
