import { type Kysely, sql } from 'kysely';

/**
 * The first schema. Every table that belongs to an operator carries `organisation`, and its keys begin with it.
 * Times are `timestamptz` of the fleet's clock.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table organisations (
      id text primary key,
      name text not null,
      created_at timestamptz not null
    );

    -- People and machines that call the operator API. Only the SHA-256 of a credential's secret is kept.
    create table operators (
      organisation text not null references organisations(id),
      name text not null,
      roles text[] not null,
      credential_id text not null unique,
      secret_sha256 bytea not null,
      created_at timestamptz not null,
      revoked_at timestamptz,
      primary key (organisation, name)
    );

    create table sites (
      organisation text not null references organisations(id),
      id text not null,
      name text not null,
      type text not null,
      region text not null,
      time_zone text not null,
      created_at timestamptz not null,
      primary key (organisation, id)
    );

    create table products (
      organisation text not null references organisations(id),
      id text not null,
      hardware text[] not null,
      created_at timestamptz not null,
      primary key (organisation, id)
    );

    create table releases (
      organisation text not null references organisations(id),
      product text not null,
      version text not null,
      path text not null,
      sha256 text not null,
      length bigint not null,
      security_version bigint not null,
      custom jsonb not null,
      role_version bigint not null,
      published_by text not null,
      published_at timestamptz not null,
      yanked_at timestamptz,
      primary key (organisation, product, version),
      foreign key (organisation, product) references products(organisation, id),
      unique (organisation, path),
      unique (organisation, product, sha256)
    );

    create table enrolment_tokens (
      organisation text not null references organisations(id),
      token_sha256 bytea not null unique,
      serial text not null,
      product text not null,
      hardware text not null,
      site text not null,
      created_by text not null,
      created_at timestamptz not null,
      expires_at timestamptz not null,
      used_at timestamptz,
      primary key (organisation, token_sha256),
      foreign key (organisation, site) references sites(organisation, id),
      foreign key (organisation, product) references products(organisation, id)
    );

    create table chargers (
      organisation text not null references organisations(id),
      serial text not null,
      product text not null,
      hardware text not null,
      site text not null,
      -- EXPECTED (a token exists), ACTIVE (enrolled), RETIRED.
      state text not null,
      -- hardware, site type and region, joined by '/': chargers of one stratum are exchangeable in a draw.
      stratum text not null,
      -- First 32 bits of SHA-256 over the serial number: the place on the ring that cohorts are drawn from.
      cohort_key bigint not null,
      certificate_sha256 text,
      certificate_expires_at timestamptz,
      running_sha256 text,
      running_version text,
      running_security_version bigint,
      charging boolean not null default false,
      online boolean not null default false,
      last_seen_at timestamptz,
      last_report bigint not null default 0,
      last_sequence bigint not null default 0,
      -- Highest TUF versions that the charger has said it trusts.
      marks jsonb not null default '{}',
      -- Earlier events and exposure by signal, frozen while a rollout of its product is watched: {"fault":[events, exposure]}.
      baseline jsonb not null default '{}',
      replaced_by text,
      enrolled_at timestamptz,
      primary key (organisation, serial),
      foreign key (organisation, site) references sites(organisation, id),
      foreign key (organisation, product) references products(organisation, id)
    );
    create unique index chargers_certificate on chargers (certificate_sha256) where certificate_sha256 is not null;
    create index chargers_draw on chargers (organisation, product, stratum, cohort_key, serial) where state = 'ACTIVE';
    create index chargers_site on chargers (organisation, site);
    create index chargers_silent on chargers (last_seen_at) where online;

    create table rollouts (
      organisation text not null references organisations(id),
      id text not null,
      product text not null,
      version text not null,
      status text not null,
      revision bigint not null,
      -- The value of rollout/core's type Rollout.
      state jsonb not null,
      -- Mean rate by signal among the selected chargers when the rollout was created, for the weights.
      mean_rates jsonb not null default '{}',
      due_at timestamptz,
      created_at timestamptz not null,
      primary key (organisation, id),
      foreign key (organisation, product, version) references releases(organisation, product, version)
    );
    create index rollouts_due on rollouts (due_at) where due_at is not null;
    create index rollouts_product on rollouts (organisation, product, status);

    create table assignments (
      organisation text not null,
      rollout text not null,
      serial text not null,
      id text not null unique,
      step int not null,
      site text not null,
      state text not null,
      -- What the charger ran before.
      from_sha256 text,
      offered_at timestamptz,
      -- When the way back was offered: from then on it holds a place within the limits. Null while it waits for one.
      back_offered_at timestamptz,
      activated_at timestamptz,
      deadline_at timestamptz,
      -- The signed fallback chosen in a rollback: {path, sha256, length, version}.
      fallback jsonb,
      code text,
      detail text,
      updated_at timestamptz not null,
      primary key (organisation, rollout, serial),
      foreign key (organisation, rollout) references rollouts(organisation, id),
      foreign key (organisation, serial) references chargers(organisation, serial)
    );
    create index assignments_state on assignments (organisation, rollout, step, state);
    create index assignments_charger on assignments (organisation, serial);
    create index assignments_site on assignments (organisation, site, state);
    -- Those on the release with no signed way back, listed by a rollback: few, and counted at each tick.
    create index assignments_stuck on assignments (organisation, rollout) where code = 'NO_FALLBACK';
    create index assignments_returning on assignments (organisation, rollout) where state = 'ROLLING_BACK' and back_offered_at is not null;
    create index assignments_deadline on assignments (organisation, rollout, deadline_at) where deadline_at is not null;

    -- Counters of design §4 and §5, kept by the writers so that nobody counts rows: one per step and state.
    create table step_counts (
      organisation text not null,
      rollout text not null,
      step int not null,
      state text not null,
      chargers bigint not null default 0,
      primary key (organisation, rollout, step, state),
      foreign key (organisation, rollout) references rollouts(organisation, id)
    );

    create table step_exposure (
      organisation text not null,
      rollout text not null,
      step int not null,
      treated_charger_hours double precision not null default 0,
      primary key (organisation, rollout, step),
      foreign key (organisation, rollout) references rollouts(organisation, id)
    );

    create table signal_bins (
      organisation text not null,
      rollout text not null,
      signal text not null,
      bin_start timestamptz not null,
      treated_events bigint not null default 0,
      treated_exposure double precision not null default 0,
      control_events bigint not null default 0,
      control_exposure double precision not null default 0,
      primary key (organisation, rollout, signal, bin_start),
      foreign key (organisation, rollout) references rollouts(organisation, id)
    );

    -- Last counted event by charger, signal and code, for de-duplication.
    create table last_events (
      organisation text not null,
      serial text not null,
      signal text not null,
      code text not null,
      at timestamptz not null,
      primary key (organisation, serial, signal, code),
      foreign key (organisation, serial) references chargers(organisation, serial)
    );

    create table hard_events (
      organisation text not null,
      rollout text not null,
      serial text not null,
      site text not null,
      code text not null,
      at timestamptz not null,
      primary key (organisation, rollout, serial),
      foreign key (organisation, rollout) references rollouts(organisation, id)
    );

    create table outbox (
      organisation text not null,
      rollout text not null,
      id text primary key,
      position bigint generated always as identity,
      effect jsonb not null,
      created_at timestamptz not null,
      done_at timestamptz,
      foreign key (organisation, rollout) references rollouts(organisation, id)
    );
    create index outbox_pending on outbox (organisation, rollout, position) where done_at is null;

    -- One hash chain per organisation: hash = SHA-256(previous hash ‖ canonical JSON of the row). Design §8.10
    create table audit (
      organisation text not null references organisations(id),
      position bigint not null,
      at timestamptz not null,
      actor text not null,
      action text not null,
      subject text not null,
      reason text not null,
      source text not null,
      detail jsonb not null,
      previous_hash text not null,
      hash text not null,
      primary key (organisation, position)
    );

    -- Fencing and versions of the online roles; TUF files themselves are in the blob store.
    create table repository (
      organisation text primary key references organisations(id),
      root_version bigint not null,
      targets_version bigint not null,
      snapshot_version bigint not null,
      timestamp_version bigint not null,
      -- Current signed timestamp.json, verbatim: the answer to every check-in carries it.
      timestamp_json text not null,
      timestamp_expires_at timestamptz not null,
      -- Current trust/policy.json.
      policy jsonb not null,
      -- Version of each product role.
      roles jsonb not null,
      updated_at timestamptz not null
    );

    create table idempotency_keys (
      organisation text not null references organisations(id),
      actor text not null,
      key text not null,
      request_sha256 bytea not null,
      status int not null,
      body jsonb not null,
      created_at timestamptz not null,
      primary key (organisation, actor, key)
    );
  `.execute(db);
}
