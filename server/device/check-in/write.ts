import { type Transaction, sql } from 'kysely';
import type { Database } from '../../db/index.ts';
import type { Batch } from './batch.ts';
import type { Evidence } from './evidence.ts';

/**
 * Writes a batch back in a fixed number of statements. Counter rows are taken in the order of their keys, so that two batches
 * wait for each other in a line and not in a circle.
 */
export async function writeEvidence(
  trx: Transaction<Database>,
  batch: Pick<Batch, 'organisation'>,
  evidence: Evidence,
): Promise<void> {
  await writeBins(trx, batch.organisation, evidence);
  await writeSteps(trx, batch.organisation, evidence);
  await writeHardEvents(trx, batch.organisation, evidence);
  await writeTreatedEvents(trx, batch.organisation, evidence);
  await writeTreatedExposure(trx, batch.organisation, evidence);
}

async function writeBins(
  trx: Transaction<Database>,
  organisation: string,
  evidence: Evidence,
): Promise<void> {
  const bins = evidence.bins();
  if (bins.length === 0) return;
  await sql`
    insert into signal_bins (organisation, rollout, signal, bin_start,
      treated_events, treated_exposure, control_events, control_exposure)
    select ${organisation}, rollout, signal, to_timestamp("from" / 1000.0),
      "treatedEvents", "treatedExposure", "controlEvents", "controlExposure"
    from jsonb_to_recordset(${JSON.stringify(bins)}::jsonb) as added (rollout text, signal text, "from" bigint,
      "treatedEvents" bigint, "treatedExposure" float8, "controlEvents" bigint, "controlExposure" float8)
    order by rollout, signal, "from"
    on conflict (organisation, rollout, signal, bin_start) do update set
      treated_events = signal_bins.treated_events + excluded.treated_events,
      treated_exposure = signal_bins.treated_exposure + excluded.treated_exposure,
      control_events = signal_bins.control_events + excluded.control_events,
      control_exposure = signal_bins.control_exposure + excluded.control_exposure`.execute(trx);
}

async function writeSteps(
  trx: Transaction<Database>,
  organisation: string,
  evidence: Evidence,
): Promise<void> {
  const steps = evidence.steps();
  if (steps.length === 0) return;
  await sql`
    insert into step_exposure (organisation, rollout, step, treated_charger_hours)
    select ${organisation}, rollout, step, hours
    from jsonb_to_recordset(${JSON.stringify(steps)}::jsonb) as added (rollout text, step int, hours float8)
    order by rollout, step
    on conflict (organisation, rollout, step) do update set
      treated_charger_hours = step_exposure.treated_charger_hours + excluded.treated_charger_hours`.execute(
    trx,
  );
}

async function writeHardEvents(
  trx: Transaction<Database>,
  organisation: string,
  evidence: Evidence,
): Promise<void> {
  const hard = evidence.hard().map((event) => ({ ...event, organisation, at: new Date(event.at) }));
  if (hard.length === 0) return;
  await trx
    .insertInto('hard_events')
    .values(hard)
    .onConflict((conflict) => conflict.columns(['organisation', 'rollout', 'serial']).doNothing())
    .execute();
}

async function writeTreatedEvents(
  trx: Transaction<Database>,
  organisation: string,
  evidence: Evidence,
): Promise<void> {
  const events = evidence.treatedEvents();
  if (events.length === 0) return;
  await sql`
    insert into treated_events (organisation, rollout, signal, serial, bin_start, events)
    select ${organisation}, rollout, signal, serial, to_timestamp("from" / 1000.0), events
    from jsonb_to_recordset(${JSON.stringify(events)}::jsonb) as added (rollout text, signal text, serial text,
      "from" bigint, events bigint)
    order by rollout, signal, serial, "from"
    on conflict (organisation, rollout, signal, serial, bin_start) do update set
      events = treated_events.events + excluded.events`.execute(trx);
}

async function writeTreatedExposure(
  trx: Transaction<Database>,
  organisation: string,
  evidence: Evidence,
): Promise<void> {
  const exposures = evidence.treatedExposures();
  if (exposures.length === 0) return;
  await sql`
    insert into treated_exposure (organisation, rollout, serial,
      attempts, connector_hours, charger_hours, transactions, first_bin, last_bin)
    select ${organisation}, rollout, serial, attempts, "connectorHours", "chargerHours", transactions,
      to_timestamp("firstBin" / 1000.0), to_timestamp("lastBin" / 1000.0)
    from jsonb_to_recordset(${JSON.stringify(exposures)}::jsonb) as added (rollout text, serial text,
      attempts float8, "connectorHours" float8, "chargerHours" float8, transactions float8,
      "firstBin" bigint, "lastBin" bigint)
    order by rollout, serial
    on conflict (organisation, rollout, serial) do update set
      attempts = treated_exposure.attempts + excluded.attempts,
      connector_hours = treated_exposure.connector_hours + excluded.connector_hours,
      charger_hours = treated_exposure.charger_hours + excluded.charger_hours,
      transactions = treated_exposure.transactions + excluded.transactions,
      first_bin = least(treated_exposure.first_bin, excluded.first_bin),
      last_bin = greatest(treated_exposure.last_bin, excluded.last_bin)`.execute(trx);
}

/** Writes every visitor's row and the events that counted last. */
export async function writeVisitors(trx: Transaction<Database>, batch: Batch): Promise<void> {
  const visitors = [...batch.visitors.values()];
  if (visitors.length === 0) return;
  const seenAt = new Date(batch.now);
  const rows = visitors.map(
    ({ serial, running, charging, lastReport, reportedTo, lastSequence, marks, baseline }) => ({
      serial,
      ...running,
      charging,
      lastReport,
      reportedTo,
      lastSequence,
      marks,
      baseline,
    }),
  );
  await sql`
    update chargers c set online = true, last_seen_at = greatest(c.last_seen_at, ${seenAt}::timestamptz),
      running_sha256 = seen.sha256, running_version = seen.version,
      running_security_version = seen."securityVersion", charging = seen.charging,
      last_report = seen."lastReport", reported_to = to_timestamp(seen."reportedTo" / 1000.0), last_sequence = seen."lastSequence",
      marks = seen.marks, baseline = seen.baseline
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as seen (serial text, sha256 text, version text,
      "securityVersion" bigint, charging boolean, "lastReport" bigint, "reportedTo" bigint, "lastSequence" bigint, marks jsonb, baseline jsonb)
    where c.organisation = ${batch.organisation} and c.serial = seen.serial`.execute(trx);
  await writeLastEvents(trx, batch);
}

async function writeLastEvents(trx: Transaction<Database>, batch: Batch): Promise<void> {
  const rows = [...batch.visitors.values()].flatMap(({ serial, lastEvents }) =>
    [...lastEvents].map(([signal, at]) => ({ serial, signal, at })),
  );
  if (rows.length === 0) return;
  await sql`
    insert into last_events (organisation, serial, signal, at)
    select ${batch.organisation}, serial, signal, to_timestamp(at / 1000.0)
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as counted (serial text, signal text, at bigint)
    order by serial, signal
    on conflict (organisation, serial, signal) do update set at = excluded.at
      where last_events.at <> excluded.at`.execute(trx);
}
