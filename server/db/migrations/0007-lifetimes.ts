import { type Kysely, sql } from 'kysely';

/** When the online roles are signed again, what chargers trust beyond what this service has, and whose certificate ends next. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Drawn when the role was signed; null: from half its life on.
    alter table repository add column snapshot_due_at timestamptz;
    alter table repository add column timestamp_due_at timestamptz;

    -- A charger's latest word on a role, where it was ever above the published version. Design 3, "Long absence"
    create table ahead_marks (
      organisation text not null,
      serial text not null,
      role text not null,
      version bigint not null,
      first_at timestamptz not null,
      at timestamptz not null,
      primary key (organisation, role, serial),
      foreign key (organisation, serial) references chargers (organisation, serial) on delete cascade
    );

    create index chargers_certificate_expiry on chargers (organisation, certificate_expires_at)
      where state = 'ACTIVE' and certificate_expires_at is not null;
  `.execute(db);
}
