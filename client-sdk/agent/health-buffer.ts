/**
 * Health reports from the moment a bin closes until the service has committed them: numbered, kept on disk, bounded. When the charger
 * is offline for long, the two oldest reports that were never sent become one, so that counts survive and memory does not grow.
 * As pure edits; `health-log.ts` keeps the file.
 */
import { LIMITS } from '../protocol/index.ts';
import type { Exposure, ExposureUnit, HealthEvent, HealthReport } from '../protocol/index.ts';

export interface HealthBuffer {
  format: 1;
  /** ms: where the open bin begins; null before the first. */
  from: number | null;
  /** Digest of the image that runs during the open bin. */
  sha256: string | null;
  /** Of the last report made. */
  sequence: number;
  /** Highest sequence that may have reached the service: such a report never changes again, or it could count twice. */
  sent: number;
  /** Closed and not acknowledged, by sequence. */
  reports: HealthReport[];
  /** What the agent itself saw in the open bin, e.g. a forged directive. */
  own: HealthEvent[];
}

/** Reports kept at most. */
export const REPORTS_KEPT = 256;
/** A report an hour reaches it in 245,000 years; the service takes what follows as well. */
export const FURTHEST_LEAP = 2 ** 31;
/** Bytes of reports in one check-in, so that its body stays below `LIMITS.checkInBody` with all the rest. */
const REPORT_BYTES = 48 * 1024;

export const emptyBuffer = (): HealthBuffer => ({
  format: 1,
  from: null,
  sha256: null,
  sequence: 0,
  sent: 0,
  reports: [],
  own: [],
});

/** Opens the first bin, or the next one after an image changed. */
export function opened(buffer: HealthBuffer, at: number, sha256: string | null): HealthBuffer {
  return { ...buffer, from: at, sha256, own: [] };
}

/** Notes an event of the agent's own. */
export function noted(buffer: HealthBuffer, event: HealthEvent): HealthBuffer {
  if (buffer.own.length >= LIMITS.eventsPerReport) return buffer;
  return { ...buffer, own: [...buffer.own, event] };
}

/**
 * Closes the open bin at `to`; the next one begins there. More events than one report holds go into several.
 * @param shift ms to add to every time, where the device's clock is known to be off
 */
export function closed(
  buffer: HealthBuffer,
  to: number,
  material: { exposure: Exposure; events: HealthEvent[] },
  shift = 0,
): HealthBuffer {
  if (buffer.from === null) return buffer;
  const events = [...material.events, ...buffer.own]
    .map((event) => shifted(event, shift))
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  const reports: HealthReport[] = [];
  for (let i = 0; i === 0 || i < events.length; i += LIMITS.eventsPerReport) {
    reports.push({
      sequence: buffer.sequence + reports.length + 1,
      from: rfc3339(buffer.from + shift),
      to: rfc3339(to + shift),
      sha256: buffer.sha256,
      // Exposure counts once, whatever number of reports the bin takes.
      exposure: i === 0 ? material.exposure : {},
      events: events.slice(i, i + LIMITS.eventsPerReport),
    });
  }
  const sequence = buffer.sequence + reports.length;
  return bounded({ ...buffer, from: to, own: [], sequence, reports: [...buffer.reports, ...reports] });
}

/** What the next check-in carries: the oldest reports, as many as fit. */
export function sending(buffer: HealthBuffer): HealthReport[] {
  const reports: HealthReport[] = [];
  let bytes = 0;
  for (const report of buffer.reports.slice(0, LIMITS.reportsPerCheckIn)) {
    bytes += Buffer.byteLength(JSON.stringify(report)) + 1;
    if (bytes > REPORT_BYTES && reports.length > 0) break;
    reports.push(report);
  }
  return reports;
}

export function sent(buffer: HealthBuffer, sequence: number): HealthBuffer {
  return sequence > buffer.sent ? { ...buffer, sent: sequence } : buffer;
}

/**
 * Forgets what the service has committed. A number above all of ours means that this charger lost its state: the service ignored what
 * came with low numbers since, so those reports get new ones. Not at the end of all numbers: nothing signs this one, and a stolen service
 * would keep every later report from being counted.
 */
export function acknowledged(buffer: HealthBuffer, sequence: number): HealthBuffer {
  if (sequence > buffer.sequence && sequence > FURTHEST_LEAP) return buffer;
  if (sequence > buffer.sequence) {
    const reports = buffer.reports.map((report, i) => ({ ...report, sequence: sequence + i + 1 }));
    return { ...buffer, reports, sequence: sequence + reports.length, sent: sequence };
  }
  const reports = buffer.reports.filter((report) => report.sequence > sequence);
  return reports.length === buffer.reports.length ? buffer : { ...buffer, reports };
}

function bounded(buffer: HealthBuffer): HealthBuffer {
  const reports = [...buffer.reports];
  while (reports.length > REPORTS_KEPT) {
    const at = reports.findIndex((report, i) => mergeable(report, reports[i + 1], buffer.sent));
    const [older, newer] = [reports[at], reports[at + 1]];
    // All of them sent or of different images: the oldest go unsummarised rather than twice.
    if (!older || !newer) return { ...buffer, reports: reports.slice(-REPORTS_KEPT) };
    reports.splice(at, 2, merged(older, newer));
  }
  return { ...buffer, reports };
}

function mergeable(older: HealthReport, newer: HealthReport | undefined, sentUpTo: number): boolean {
  return newer !== undefined && older.sequence > sentUpTo && older.sha256 === newer.sha256;
}

function merged(older: HealthReport, newer: HealthReport): HealthReport {
  const exposure: Exposure = { ...older.exposure };
  for (const [unit, amount] of Object.entries(newer.exposure)) {
    exposure[unit as ExposureUnit] = (exposure[unit as ExposureUnit] ?? 0) + amount;
  }
  // The newest events are kept: a summary that is too long loses its oldest.
  const events = [...older.events, ...newer.events].slice(-LIMITS.eventsPerReport);
  return { ...newer, from: older.from < newer.from ? older.from : newer.from, exposure, events };
}

const shifted = (event: HealthEvent, shift: number): HealthEvent =>
  shift === 0 ? event : { ...event, at: rfc3339(Date.parse(event.at) + shift) };

/** The first and the last millisecond that RFC 3339 can say. */
const [FIRST, LAST] = [Date.parse('0000-01-01T00:00:00.000Z'), Date.parse('9999-12-31T23:59:59.999Z')];

/** A clock that was told a time at the end of all years must not make a report that no service can read: it would be in every check-in. */
export const rfc3339 = (ms: number): string => new Date(Math.min(Math.max(ms, FIRST), LAST)).toISOString();
