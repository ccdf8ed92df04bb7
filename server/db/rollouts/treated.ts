/** Who the evidence of a rollout is from, and what was before it. */
import { sql } from 'kysely';
import { type ExposureUnit, type Signal, SIGNALS } from '@tidegate/client-sdk/protocol';
import type { Earlier, Rollout, TreatedCharger } from '@tidegate/rollout/core';
import { weight } from '@tidegate/rollout/health';
import type { Db } from '../open.ts';
import type { Baseline, Row } from '../schema.ts';

type MeanRates = Row<'rollouts'>['mean_rates'];

export async function readBefore(
  db: Db,
  { organisation, id }: Rollout,
): Promise<{ meanRates: MeanRates; earlier: Earlier }> {
  const row = await db
    .selectFrom('rollouts')
    .select(['mean_rates', 'earlier'])
    .where('organisation', '=', organisation)
    .where('id', '=', id)
    .executeTakeFirst();
  const earlier = Object.entries(row?.earlier ?? {}).map(([signal, [events, exposure]]) => [
    signal,
    { events, exposure },
  ]);
  return { meanRates: row?.mean_rates ?? {}, earlier: Object.fromEntries(earlier) as Earlier };
}

interface Told extends Record<ExposureUnit, number | null> {
  signal: Signal;
  serial: string;
  site: string;
  baseline: Baseline;
  events: { from: number; count: number }[];
  firstBin: number | null;
  lastBin: number | null;
}

/** The treated chargers that had events of these signals. */
export async function readTreated(
  db: Db,
  { organisation, id }: Rollout,
  signals: readonly Signal[],
  meanRates: MeanRates,
): Promise<TreatedCharger[]> {
  if (signals.length === 0) return [];
  const { rows } = await sql<Told>`
    select t.signal, t.serial, c.site, c.baseline, t.events,
      e.attempts, e.connector_hours as "connectorHours", e.charger_hours as "chargerHours", e.transactions,
      extract(epoch from e.first_bin)::float8 * 1000 as "firstBin",
      extract(epoch from e.last_bin)::float8 * 1000 as "lastBin"
    from (
      select signal, serial, jsonb_agg(jsonb_build_object('from', extract(epoch from bin_start) * 1000, 'count', events)) as events
      from treated_events
      where organisation = ${organisation} and rollout = ${id} and signal = any(${[...signals]})
      group by signal, serial
    ) t
    join chargers c on c.organisation = ${organisation} and c.serial = t.serial
    left join treated_exposure e on e.organisation = ${organisation} and e.rollout = ${id} and e.serial = t.serial
    order by t.signal, t.serial`.execute(db);
  return rows.map((row) => {
    const { signal, serial, site, events, baseline, firstBin, lastBin } = row;
    const [before, exposure] = baseline[signal] ?? [0, 0];
    const weighted =
      (row[SIGNALS[signal].exposure] ?? 0) * weight({ events: before, exposure }, meanRates[signal] ?? 0);
    const time = { from: firstBin ?? 0, to: (lastBin ?? 0) + 1 };
    return { signal, serial, site, events, exposure: weighted, ...time };
  });
}
