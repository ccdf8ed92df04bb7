import {
  type Exposure,
  type HealthReport,
  SIGNALS,
  SIGNAL_NAMES,
  type Signal,
} from '@tidegate/client-sdk/protocol';
import { weight } from '@tidegate/rollout/health';
import type { Batch, Held, Visitor, Watched } from './batch.ts';
import type { Arm, Evidence } from './evidence.ts';
import { DEDUPLICATE_MINUTES, type TimedEvent, countedEvents, hardEvent } from './events.ts';
import { type Bin, furthestSequence, plausibleBin, toldBefore } from './plausible.ts';

const HOUR = 3_600_000;
/** Bins that one report's exposure is spread over at most; of a longer report the latest ones. */
const MOST_BINS = 1_000;

/**
 * Counts a charger's reports: each once, by its sequence; a gap is no reason to refuse what came after it.
 * Edits the visitor (last report, baseline, last events) and adds to the evidence of the live rollouts of its product.
 */
export function takeReports(
  visitor: Visitor,
  reports: readonly HealthReport[],
  batch: Batch,
  evidence: Evidence,
): void {
  const furthest = furthestSequence(visitor, batch.now);
  for (const report of reports.toSorted((a, b) => a.sequence - b.sequence)) {
    // Sent again because the answer was lost, or twice in one body.
    if (report.sequence <= visitor.lastReport || report.sequence > furthest) continue;
    visitor.lastReport = report.sequence;
    if (toldBefore(report, visitor)) continue;
    const bin = plausibleBin(report, visitor.reportedTo, batch.now);
    if (bin === undefined) continue;
    takeReport(visitor, bin, report, batch, evidence);
    visitor.reportedTo = bin.to;
  }
}

function takeReport(
  visitor: Visitor,
  bin: Bin,
  report: HealthReport,
  batch: Batch,
  evidence: Evidence,
): void {
  const live = batch.live.get(visitor.product) ?? [];
  const windowMinutes = live[0]?.rollout.plan.detector.deduplicateMinutes ?? DEDUPLICATE_MINUTES;
  const told = report.events.filter((event) => {
    const at = Date.parse(event.at);
    // Of a report that is too long to be believed, what lies before the part that is.
    const believed = at >= bin.from || bin.from === Date.parse(report.from);
    return believed && !alreadySilent(visitor, event.signal, at);
  });
  const hard = hardEvent(told, bin, visitor.lastEvents);
  const events = countedEvents(told, bin, visitor.lastEvents, windowMinutes);
  if (live.length === 0) accrueBaseline(visitor, bin.exposure, events);
  for (const watched of live) {
    const held = visitor.assignments.find(({ rollout }) => rollout === watched.rollout.id);
    const arm = armOf(bin, watched, held);
    if (arm === undefined) {
      if (bin.sha256 === watched.rollout.release.sha256)
        evidence.addUnconfirmed(watched.rollout.id, visitor.serial);
      continue;
    }
    batch.changed.add(watched.rollout.id);
    addEvidence(visitor, watched, bin, events, arm, evidence);
    if (arm !== 'treated') continue;
    if (held !== undefined) evidence.addHours(watched.rollout.id, held.step, treatedHours(bin, held));
    if (hard !== undefined) {
      evidence.addHard({ rollout: watched.rollout.id, serial: visitor.serial, site: visitor.site, ...hard });
    }
  }
}

/** Hours that a gate may count: of the time since the activation, however long the charger says that it was. */
export function treatedHours(
  bin: Pick<Bin, 'from' | 'to' | 'exposure'>,
  { activatedAt }: Pick<Held, 'activatedAt'>,
): number {
  if (activatedAt === null) return 0;
  const passed = Math.max(0, bin.to - Math.max(bin.from, activatedAt)) / HOUR;
  return Math.min(bin.exposure.chargerHours ?? 0, passed);
}

/**
 * Treated from the service's own confirmation on, while the charger reports the release's digest; control before it was taken. Who claims the
 * digest without a confirmed assignment of this rollout counts in neither, and so does a charger that took it and went back. Bins never
 * span an activation, so one that began before it ended before it, even when it arrives late.
 */
export function armOf(
  bin: Pick<Bin, 'from' | 'to' | 'sha256'>,
  watched: Watched,
  held: Pick<Held, 'activatedAt' | 'confirmedAt'> | undefined,
): Arm | undefined {
  if (bin.sha256 === watched.rollout.release.sha256) {
    const confirmedAt = held?.confirmedAt ?? null;
    return confirmedAt !== null && bin.to > confirmedAt ? 'treated' : undefined;
  }
  const activatedAt = held?.activatedAt ?? null;
  return activatedAt === null || bin.from < activatedAt ? 'control' : undefined;
}

function addEvidence(
  visitor: Visitor,
  { rollout, meanRates }: Watched,
  bin: Bin,
  events: readonly TimedEvent[],
  arm: Arm,
  evidence: Evidence,
): void {
  const width = rollout.plan.detector.binMinutes * 60_000;
  const started = rollout.steps[0]?.openedAt ?? rollout.createdAt;
  const slices = slicesOf(bin, width, started);
  for (const signal of SIGNAL_NAMES) {
    const exposure = bin.exposure[SIGNALS[signal].exposure] ?? 0;
    if (exposure === 0) continue;
    const weighted = exposure * weightOf(visitor, signal, meanRates[signal] ?? 0);
    for (const { start, share } of slices) {
      evidence.addExposure(rollout.id, signal, start, arm, weighted * share);
    }
  }
  const [first, last] = [slices[0], slices.at(-1)];
  if (arm === 'treated' && first !== undefined && last !== undefined) {
    const share = slices.reduce((sum, slice) => sum + slice.share, 0);
    evidence.addTreated(rollout.id, visitor.serial, times(bin.exposure, share), first.start, last.start);
  }
  for (const { signal, at } of events) {
    if (at >= started) evidence.addEvent(rollout.id, signal, binStart(at, width), arm, visitor.serial);
  }
}

function times(exposure: Exposure, share: number): Exposure {
  return Object.fromEntries(Object.entries(exposure).map(([unit, amount]) => [unit, amount * share]));
}

export function weightOf(visitor: Pick<Visitor, 'baseline'>, signal: Signal, meanRate: number): number {
  const [events, exposure] = visitor.baseline[signal] ?? [0, 0];
  return weight({ events, exposure }, meanRate);
}

export function binStart(at: number, width: number): number {
  return Math.floor(at / width) * width;
}

/** The detector's bins that a report covers since the rollout began, each with its share of the report's time. */
function slicesOf(bin: Bin, width: number, started: number): { start: number; share: number }[] {
  const from = Math.max(bin.since, started, bin.to - MOST_BINS * width);
  const slices = [];
  for (let start = binStart(from, width); start < bin.to; start += width) {
    const covered = Math.min(bin.to, start + width) - Math.max(from, start);
    if (covered > 0) slices.push({ start, share: covered / (bin.to - bin.since) });
  }
  return slices;
}

function accrueBaseline(visitor: Visitor, exposure: Exposure, events: readonly TimedEvent[]): void {
  const baseline = { ...visitor.baseline };
  for (const signal of SIGNAL_NAMES) {
    const [k, e] = baseline[signal] ?? [0, 0];
    const more = events.filter((event) => event.signal === signal).length;
    const longer = exposure[SIGNALS[signal].exposure] ?? 0;
    if (more > 0 || longer > 0) baseline[signal] = [k + more, e + longer];
  }
  visitor.baseline = baseline;
}

/** The silence in which the charger's offline episode was counted already, by `markSilent`. */
function alreadySilent(visitor: Visitor, signal: Signal, at: number): boolean {
  return signal === 'offline' && !visitor.online && visitor.lastSeenAt !== null && at >= visitor.lastSeenAt;
}
