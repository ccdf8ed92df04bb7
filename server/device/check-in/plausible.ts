/** What a charger may claim in its reports: each is held to what can have been, whoever holds the charger's identity. Pure. */
import type { Exposure, HealthReport } from '@tidegate/client-sdk/protocol';
import type { Visitor } from './batch.ts';

const HOUR = 3_600_000;
/** A charger's clock may be ahead by this much; beyond it the report is taken but is no evidence. */
const CLOCK_TOLERANCE = 10 * 60_000;
/**
 * Longest time that one report is believed about. A charger that was away for longer sums up; one whose clock woke in 1970 has a bin of half
 * a century.
 */
export const LONGEST_REPORT = 31 * 24 * HOUR;
/** Outlets of one charger at most: bounds the connector-hours that an hour can hold. */
const MOST_CONNECTORS = 64;
/** Session starts, and ends, of one outlet in an hour at most. */
const MOST_SESSIONS = 12;

/** Numbers up to here may be reached by any leap; beyond, they rise by the second. */
const FREE_NUMBERS = 2 ** 32;
/** Reports that a charger may have made and never sent, beside one a second. */
const UNSENT_REPORTS = 2 ** 16;

/** A report's bin, as far as it is believed. */
export interface Bin {
  /** ms: events are of this time. */
  from: number;
  to: number;
  /** ms, `from` or later: exposure is of the time from here to `to`. */
  since: number;
  sha256: string | null;
  exposure: Exposure;
}

/**
 * A bin as it can have been; undefined where it is of time to come, or lies before what the charger has told of already.
 *
 * Exposure counts from the end of the previous report on, at first from the enrolment, and for 31 days at most: hours as many as have passed,
 * connector-hours, starts and ends of sessions as many as 64 outlets can have had in them. So no report claims time before the charger was
 * there, and no two reports claim the same time. A bin of more events than one report holds comes in several; only the first has exposure.
 * @param reportedTo end of the previous report, ms.
 */
export function plausibleBin(report: HealthReport, reportedTo: number | null, now: number): Bin | undefined {
  const [begin, to] = [Date.parse(report.from), Date.parse(report.to)];
  if (!(begin <= to) || to > now + CLOCK_TOLERANCE) return undefined;
  if (reportedTo !== null && to < reportedTo) return undefined;
  const from = Math.max(begin, to - LONGEST_REPORT);
  const since = Math.max(from, reportedTo ?? from);
  return { from, to, since, sha256: report.sha256, exposure: within(report.exposure, (to - since) / HOUR) };
}

function within(told: Exposure, hours: number): Exposure {
  const outlets = hours * MOST_CONNECTORS;
  return {
    chargerHours: Math.min(told.chargerHours ?? 0, hours),
    connectorHours: Math.min(told.connectorHours ?? 0, outlets),
    attempts: Math.min(told.attempts ?? 0, Math.ceil(outlets * MOST_SESSIONS)),
    transactions: Math.min(told.transactions ?? 0, Math.ceil(outlets * MOST_SESSIONS)),
  };
}

/**
 * The highest number that a report of this charger may have: beyond it a report is neither counted nor acknowledged.
 *
 * A charger counts its reports from 1 and learns from `acknowledged` when the service holds a higher number than it knows, so that it goes on
 * above it. That mends every leap but one to the end of the numbers, after which nothing would ever be above. So a number above 2^32 may be
 * reached by one a second only, and the end by nobody.
 */
export function furthestSequence({ lastReport, lastSeenAt }: Visitor, now: number): number {
  const seconds = Math.max(0, now - (lastSeenAt ?? now)) / 1000;
  return Math.max(FREE_NUMBERS, lastReport + UNSENT_REPORTS + seconds);
}

/**
 * Whether a report was taken under an earlier certificate. A new certificate begins a new count, because the charger may have lost its own;
 * one that kept it may send again what was committed and not acknowledged to it. That has a number that was taken, and is of a time that was
 * told of. Invariant 9
 */
export function toldBefore(report: HealthReport, { earlier }: Visitor): boolean {
  return report.sequence <= earlier.report && Date.parse(report.to) <= (earlier.reportedTo ?? -Infinity);
}
