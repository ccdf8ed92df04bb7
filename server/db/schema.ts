/**
 * The tables of the migrations, as Kysely reads and writes them.
 *
 * - `bigint` columns come back as numbers; a value beyond 2^53 − 1 is an error, never a rounded number (`open.ts` sets the parser).
 * - `timestamptz` columns are `Date`s of the fleet's clock unless they say otherwise; the core's milliseconds are `date.getTime()`.
 * - `jsonb` columns come back parsed and are written as JSON text: pass `JSON.stringify(value)`, because the driver would
 *   turn a bare array into a PostgreSQL array.
 * - `bytea` columns are `Buffer`s.
 */
import type { ColumnType, Generated, Insertable, Selectable, Updateable } from 'kysely';
import type { Signal, TargetCustom, TrustedVersions, TrustPolicy } from '@tidegate/client-sdk/protocol';
import type { AssignmentState, Rollout, RolloutEffect, RolloutStatus } from '@tidegate/rollout/core';

/** Read as a value, written as JSON text. */
type Json<T> = ColumnType<T, string, string>;
/** The same, for a column with a default. */
type DefaultedJson<T> = ColumnType<T, string | undefined, string>;
/** A column that may be left out of an insert because it is nullable. */
type Optional<T> = ColumnType<T | null, T | null | undefined, T | null>;

/** Roles of an operator; what each may do is decided in `server/identity`. */
export type Role = 'admin' | 'release-engineer' | 'operator' | 'viewer';

/**
 * - `EXPECTED`: a token exists, the charger has not enrolled yet.
 * - `ACTIVE`: enrolled; may check in and be drawn into cohorts.
 * - `RETIRED`: out of service for good; its certificate no longer counts.
 */
export type ChargerState = 'EXPECTED' | 'ACTIVE' | 'RETIRED';

/** Earlier events and exposure by signal. */
export type Baseline = Partial<Record<Signal, [events: number, exposure: number]>>;

/** The signed way down that a rollback chose for one charger. */
export interface ChosenFallback {
  path: string;
  sha256: string;
  /** Bytes. */
  length: number;
  version: string;
}

interface OrganisationsTable {
  id: string;
  name: string;
  created_at: Date;
}

interface OperatorsTable {
  organisation: string;
  name: string;
  roles: Role[];
  credential_id: string;
  secret_sha256: Buffer;
  created_at: Date;
  revoked_at: Optional<Date>;
  /** Who added them, alone; null: `operators.json`. See `identity/hands.ts`. */
  added_by: Optional<string>;
  /** Who confirmed that they are a person of their own. */
  confirmed_by: Optional<string>;
  confirmed_at: Optional<Date>;
}

interface SitesTable {
  organisation: string;
  id: string;
  name: string;
  type: string;
  region: string;
  /** IANA name. */
  time_zone: string;
  created_at: Date;
}

interface ProductsTable {
  organisation: string;
  id: string;
  hardware: string[];
  created_at: Date;
}

interface ReleasesTable {
  organisation: string;
  product: string;
  version: string;
  path: string;
  sha256: string;
  length: number;
  security_version: number;
  custom: Json<TargetCustom>;
  /** Version of the product role that listed it first. */
  role_version: number;
  published_by: string;
  published_at: Date;
  yanked_at: Optional<Date>;
  /** When its files were removed from the store; null while they are there. */
  collected_at: Optional<Date>;
  /** Code with which chargers refuse it by the published trust; kept up to date for what a rollout may send a charger to. */
  refused: Optional<string>;
}

interface EnrolmentTokensTable {
  organisation: string;
  token_sha256: Buffer;
  serial: string;
  product: string;
  hardware: string;
  site: string;
  created_by: string;
  created_at: Date;
  expires_at: Date;
  used_at: Optional<Date>;
}

interface ChargersTable {
  organisation: string;
  serial: string;
  product: string;
  hardware: string;
  site: string;
  state: ChargerState;
  /** `<hardware>/<site type>/<region>`. */
  stratum: string;
  /** 0 to 2^32 − 1. */
  cohort_key: number;
  certificate_sha256: Optional<string>;
  certificate_expires_at: Optional<Date>;
  running_sha256: Optional<string>;
  running_version: Optional<string>;
  running_security_version: Optional<number>;
  charging: Generated<boolean>;
  online: Generated<boolean>;
  last_seen_at: Optional<Date>;
  last_report: Generated<number>;
  last_sequence: Generated<number>;
  /** By role: `root`, `timestamp`, and from newer firmware `snapshot`, `targets`, `product`. */
  marks: DefaultedJson<Partial<TrustedVersions>>;
  baseline: DefaultedJson<Baseline>;
  replaced_by: Optional<string>;
  enrolled_at: Optional<Date>;
  /** End of the latest report; at first the enrolment. */
  reported_to: Optional<Date>;
  /** Last report under earlier certificates, 0 for none, and its end. */
  earlier_report: Generated<number>;
  earlier_reported_to: Optional<Date>;
}

interface RolloutsTable {
  organisation: string;
  id: string;
  product: string;
  version: string;
  status: RolloutStatus;
  revision: number;
  state: Json<Rollout>;
  mean_rates: DefaultedJson<Partial<Record<Signal, number>>>;
  /** Sums of the chargers' baselines when the rollout was created. */
  earlier: DefaultedJson<Baseline>;
  due_at: Optional<Date>;
  created_at: Date;
}

interface AssignmentsTable {
  organisation: string;
  rollout: string;
  serial: string;
  id: string;
  step: number;
  site: string;
  state: AssignmentState;
  from_sha256: Optional<string>;
  offered_at: Optional<Date>;
  /** When the way back was offered; null while it waits for room within the limits. */
  back_offered_at: Optional<Date>;
  activated_at: Optional<Date>;
  /** When the service confirmed the activation; `activated_at` may be the charger's own word. */
  confirmed_at: Optional<Date>;
  deadline_at: Optional<Date>;
  fallback: ColumnType<ChosenFallback | null, string | null | undefined, string | null>;
  code: Optional<string>;
  detail: Optional<string>;
  updated_at: Date;
}

interface StepCountsTable {
  organisation: string;
  rollout: string;
  step: number;
  state: AssignmentState;
  chargers: Generated<number>;
}

interface StepExposureTable {
  organisation: string;
  rollout: string;
  step: number;
  treated_charger_hours: Generated<number>;
}

interface SignalBinsTable {
  organisation: string;
  rollout: string;
  signal: Signal;
  bin_start: Date;
  treated_events: Generated<number>;
  treated_exposure: Generated<number>;
  control_events: Generated<number>;
  control_exposure: Generated<number>;
}

interface TreatedEventsTable {
  organisation: string;
  rollout: string;
  signal: Signal;
  serial: string;
  bin_start: Date;
  events: number;
}

interface TreatedExposureTable {
  organisation: string;
  rollout: string;
  serial: string;
  attempts: number;
  connector_hours: number;
  charger_hours: number;
  transactions: number;
  first_bin: Date;
  last_bin: Date;
}

interface LastEventsTable {
  organisation: string;
  serial: string;
  /** `boot:earlier` and `boot:latest` besides: the boots from which a loop is told. */
  signal: Signal | 'boot:earlier' | 'boot:latest';
  at: Date;
}

interface HardEventsTable {
  organisation: string;
  rollout: string;
  serial: string;
  site: string;
  code: string;
  at: Date;
}

interface OutboxTable {
  organisation: string;
  rollout: string;
  id: string;
  position: ColumnType<number, never, never>;
  effect: Json<RolloutEffect>;
  created_at: Date;
  done_at: Optional<Date>;
}

interface AuditTable {
  organisation: string;
  position: number;
  at: Date;
  actor: string;
  action: string;
  subject: string;
  reason: string;
  source: string;
  detail: Json<Record<string, unknown>>;
  previous_hash: string;
  hash: string;
}

interface RepositoryTable {
  organisation: string;
  root_version: number;
  targets_version: number;
  snapshot_version: number;
  timestamp_version: number;
  timestamp_json: string;
  timestamp_expires_at: Date;
  /** Of the `timestamp_json` before this one: what the store may still hold where a crash came between. */
  previous_timestamp_sha256: Optional<string>;
  policy: Json<TrustPolicy>;
  /** Version by product role. */
  roles: Json<Record<string, number>>;
  updated_at: Date;
  /** When the service signs them again; null: from half their life on. */
  snapshot_due_at: Optional<Date>;
  timestamp_due_at: Optional<Date>;
}

/** What a charger said last of a role that it once said to trust in a version above the published one. */
interface AheadMarksTable {
  organisation: string;
  serial: string;
  /** `root`, `targets`, `snapshot`, `timestamp`, or the charger's product. */
  role: string;
  version: number;
  /** When it first said so. */
  first_at: Date;
  at: Date;
}

/** What each timestamp led to, from `at` until the next one. */
interface TimestampsTable {
  organisation: string;
  version: number;
  at: Date;
  snapshot_version: number;
  targets_version: number;
  /** Version by product role. */
  roles: Json<Record<string, number>>;
}

interface IdempotencyKeysTable {
  organisation: string;
  actor: string;
  key: string;
  request_sha256: Buffer;
  /** Null while the request is being carried out. */
  status: number | null;
  /** Null then, and where the answer held a secret. */
  body: ColumnType<unknown, string | null | undefined, string | null>;
  created_at: Date;
  /** Of the database's own clock: until then nobody takes the request up again. */
  held_until: Generated<Date>;
}

export interface Database {
  organisations: OrganisationsTable;
  operators: OperatorsTable;
  sites: SitesTable;
  products: ProductsTable;
  releases: ReleasesTable;
  enrolment_tokens: EnrolmentTokensTable;
  chargers: ChargersTable;
  rollouts: RolloutsTable;
  assignments: AssignmentsTable;
  step_counts: StepCountsTable;
  step_exposure: StepExposureTable;
  signal_bins: SignalBinsTable;
  treated_events: TreatedEventsTable;
  treated_exposure: TreatedExposureTable;
  last_events: LastEventsTable;
  hard_events: HardEventsTable;
  outbox: OutboxTable;
  audit: AuditTable;
  repository: RepositoryTable;
  ahead_marks: AheadMarksTable;
  timestamps: TimestampsTable;
  idempotency_keys: IdempotencyKeysTable;
}

/** One row of a table as it is read, inserted and updated: `Row<'chargers'>`. */
export type Row<T extends keyof Database> = Selectable<Database[T]>;
export type NewRow<T extends keyof Database> = Insertable<Database[T]>;
export type RowChange<T extends keyof Database> = Updateable<Database[T]>;
