import { type Kysely, sql } from 'kysely';

/** Who the detector's evidence is from, what it falls back on without concurrent control, and which reports a charger has told. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- Counted events of treated chargers, by charger: rows for events only. What was counted before this migration is nobody's, and halts nothing.
    create table treated_events (
      organisation text not null,
      rollout text not null,
      signal text not null,
      serial text not null,
      bin_start timestamptz not null,
      events bigint not null,
      primary key (organisation, rollout, signal, serial, bin_start),
      foreign key (organisation, rollout) references rollouts(organisation, id)
    );

    -- Exposure of each treated charger, unweighted, and the bins that it is of: one row a charger.
    create table treated_exposure (
      organisation text not null,
      rollout text not null,
      serial text not null,
      attempts double precision not null,
      connector_hours double precision not null,
      charger_hours double precision not null,
      transactions double precision not null,
      first_bin timestamptz not null,
      last_bin timestamptz not null,
      primary key (organisation, rollout, serial),
      foreign key (organisation, rollout) references rollouts(organisation, id)
    );

    -- Events and exposure of the selected chargers by signal when the rollout was created: {"fault":[events, exposure]}.
    alter table rollouts add column earlier jsonb not null default '{}';

    -- When the service confirmed the activation; activated_at may be the charger's own word.
    alter table assignments add column confirmed_at timestamptz;
    update assignments set confirmed_at = activated_at;

    -- End of the latest report; at first the enrolment. Nobody has exposure before it twice.
    alter table chargers add column reported_to timestamptz;
    -- Last report under earlier certificates, and its end.
    alter table chargers add column earlier_report bigint not null default 0;
    alter table chargers add column earlier_reported_to timestamptz;
    update chargers set reported_to = case when last_report > 0 then last_seen_at else enrolled_at end;

    -- One event a charger, signal and window counts, whatever its code.
    delete from last_events a using last_events b
      where a.organisation = b.organisation and a.serial = b.serial and a.signal = b.signal
        and (a.at, a.code) < (b.at, b.code);
    alter table last_events drop constraint last_events_pkey;
    alter table last_events drop column code;
    alter table last_events add primary key (organisation, serial, signal);
  `.execute(db);
}
