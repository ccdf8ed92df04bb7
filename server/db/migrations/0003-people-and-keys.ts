import { type Kysely, sql } from 'kysely';

/** Who added whom, so that two approvals are two people; and requests that are still being carried out, known by their key. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Null: listed in operators.json, by whoever owns the machine.
    alter table operators add column added_by text;
    alter table operators add column confirmed_by text;
    alter table operators add column confirmed_at timestamptz;
    -- The audit log has told it since the first migration; what the service itself added has the source 'local'.
    update operators set added_by = audit.actor
      from audit
      where audit.organisation = operators.organisation and audit.subject = operators.name
        and audit.action = 'operator.add' and audit.source <> 'local';

    -- Without a status the request is still being carried out, and nobody else takes it up before held_until (the database's own clock).
    alter table idempotency_keys alter column status drop not null;
    alter table idempotency_keys alter column body drop not null;
    alter table idempotency_keys add column held_until timestamptz not null default now();
  `.execute(db);
}
