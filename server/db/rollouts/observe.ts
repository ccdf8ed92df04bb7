import type { Observation, Rollout } from '@tidegate/rollout/core';
import { NO_FALLBACK } from '@tidegate/rollout/shell';
import { crossingSignals } from '@tidegate/rollout/health';
import type { Db } from '../open.ts';
import { readBefore, readTreated } from './treated.ts';

/**
 * Reads the counters that the writers keep; no assignment is read but those that are stuck, so the cost is O(steps + signals × bins + hard
 * events). Only where evidence reaches its threshold is it read who it is from.
 */
export async function observe(db: Db, rollout: Rollout): Promise<Observation> {
  const [steps, bins, hard, withoutFallback, before] = await Promise.all([
    countSteps(db, rollout),
    readBins(db, rollout),
    countHardEvents(db, rollout),
    countWithoutFallback(db, rollout),
    readBefore(db, rollout),
  ]);
  const judged = bins.filter(({ from }) => from >= (rollout.judgedFrom ?? -Infinity));
  const crossing = crossingSignals(judged, before.earlier, rollout.plan.detector);
  const treated = await readTreated(db, rollout, crossing, before.meanRates);
  return { steps, bins, treated, earlier: before.earlier, hard, withoutFallback };
}

async function countSteps(db: Db, rollout: Rollout): Promise<Observation['steps']> {
  const steps: Observation['steps'] = rollout.steps.map(() => ({ counts: {}, treatedChargerHours: 0 }));
  const counts = await db
    .selectFrom('step_counts')
    .select(['step', 'state', 'chargers'])
    .where('organisation', '=', rollout.organisation)
    .where('rollout', '=', rollout.id)
    .where('chargers', '<>', 0)
    .execute();
  for (const { step, state, chargers } of counts) {
    const observed = steps[step];
    if (observed !== undefined) observed.counts[state] = chargers;
  }
  const exposures = await db
    .selectFrom('step_exposure')
    .select(['step', 'treated_charger_hours'])
    .where('organisation', '=', rollout.organisation)
    .where('rollout', '=', rollout.id)
    .execute();
  for (const { step, treated_charger_hours } of exposures) {
    const observed = steps[step];
    if (observed !== undefined) observed.treatedChargerHours = treated_charger_hours;
  }
  return steps;
}

async function readBins(db: Db, rollout: Rollout): Promise<Observation['bins']> {
  const bins = await db
    .selectFrom('signal_bins')
    .selectAll()
    .where('organisation', '=', rollout.organisation)
    .where('rollout', '=', rollout.id)
    .orderBy('bin_start')
    .orderBy('signal')
    .execute();
  return bins.map((bin) => ({
    signal: bin.signal,
    from: bin.bin_start.getTime(),
    treatedEvents: bin.treated_events,
    treatedExposure: bin.treated_exposure,
    controlEvents: bin.control_events,
    controlExposure: bin.control_exposure,
  }));
}

async function countHardEvents(db: Db, rollout: Rollout): Promise<Observation['hard']> {
  const events = await db
    .selectFrom('hard_events')
    .select(['site', 'code'])
    .where('organisation', '=', rollout.organisation)
    .where('rollout', '=', rollout.id)
    .orderBy('at')
    .orderBy('serial')
    .execute();
  const sites = new Set(events.map(({ site }) => site)).size;
  return { chargers: events.length, sites, code: events[0]?.code ?? null };
}

/** Read from a partial index that holds these few alone. */
async function countWithoutFallback(db: Db, rollout: Rollout): Promise<number> {
  const { n } = await db
    .selectFrom('assignments')
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .where('organisation', '=', rollout.organisation)
    .where('rollout', '=', rollout.id)
    .where('code', '=', NO_FALLBACK)
    .where('state', 'in', ['VERIFYING', 'HEALTHY'])
    .executeTakeFirstOrThrow();
  return n;
}
