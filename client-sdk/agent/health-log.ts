/** Keeps the health buffer on disk (`health.json`) and fills it from the host. */
import { LIMITS, SHA256 } from '../protocol/index.ts';
import { arrayOf, integer, nullable, object, parseJson, recordOf, ShapeError, text } from '../trust/shape.ts';
import type { Reader } from '../trust/shape.ts';
import type { HealthReport, Signal } from '../protocol/index.ts';
import type { Files } from '../trust/index.ts';
import type { Host } from './host.ts';
import {
  FURTHEST_LEAP,
  REPORTS_KEPT,
  acknowledged,
  closed,
  emptyBuffer,
  noted,
  opened,
  rfc3339,
  sending,
  sent,
} from './health-buffer.ts';
import type { HealthBuffer } from './health-buffer.ts';

const digest = nullable(text(64, SHA256));
/** The host's own words are not judged here: one odd event must not cost all the others. */
const at: Reader<string> = (value, place) => {
  const read = text(64)(value, place);
  if (Number.isNaN(Date.parse(read))) throw new ShapeError(place, 'a time');
  return read;
};
const signal = text(64) as Reader<Signal>;
const amount: Reader<number> = (value, place) => {
  if (!Number.isFinite(value)) throw new ShapeError(place, 'a number');
  return value as number;
};
/** ms that a `Date` can hold. */
const instant = integer(-8.64e15, 8.64e15);
const event = object({ at, signal, code: text(1024) }, { severity: amount });
const events = arrayOf(event, 4 * LIMITS.eventsPerReport);
const unit = /^[A-Za-z]{1,64}$/;
const report = object({
  sequence: integer(0),
  from: at,
  to: at,
  sha256: digest,
  exposure: recordOf(unit, amount, 8),
  events,
});
const readBuffer = object({
  format: (value: unknown, place: string) => {
    if (value !== 1) throw new ShapeError(place, '1');
  },
  from: nullable(instant),
  sha256: digest,
  // One that no report reached: altered on the disk, or taken from a stolen service by an earlier version. It begins anew.
  sequence: integer(0, 2 * FURTHEST_LEAP),
  sent: integer(0),
  reports: arrayOf(report, 2 * REPORTS_KEPT),
  own: events,
});

const FILE = 'health.json';
/** Longest `health.json` that is read. */
const FILE_BYTES = 16 * 1024 * 1024;

/**
 * Time between two ticks from which on the clock is taken to have jumped, in ms; backwards it jumps by any amount. A charger that wakes in
 * 1970 and is set right has not been on for half a century, and one that was off for days has nothing to tell of them.
 */
const JUMP = 24 * 60 * 60 * 1000;

export class HealthLog {
  readonly #files: Files;
  readonly #host: Host;
  /** ms that a bin covers at least. */
  readonly #bin: number;
  #buffer: HealthBuffer;
  /** The last tick; undefined before the first since the start. */
  #last: { at: number; shift: number } | undefined;

  private constructor(files: Files, host: Host, bin: number, buffer: HealthBuffer) {
    this.#files = files;
    this.#host = host;
    this.#bin = bin;
    this.#buffer = buffer;
  }

  /** What cannot be read is gone: health is evidence for others, and never a reason not to charge. */
  static async open(files: Files, host: Host, bin: number): Promise<HealthLog> {
    const bytes = await files.read(FILE, FILE_BYTES);
    return new HealthLog(files, host, bin, parse(bytes) ?? emptyBuffer());
  }

  /**
   * Closes the bin when it is old enough, when another image runs, or when the clock has jumped, then as of the last tick before; opens one
   * when there is none.
   * @param shift see `closed`
   */
  async tick(now: number, shift: number, sha256: string | null): Promise<void> {
    const before = this.#last ?? { at: this.#buffer.from ?? now, shift };
    this.#last = { at: now, shift };
    if (now < before.at || now - before.at > JUMP) await this.#cutBeforeJump(before);
    const { from, sha256: image } = this.#buffer;
    if (from === null) {
      this.#buffer = opened(this.#buffer, now, sha256);
      await this.#save();
    } else if (image !== sha256) {
      await this.#close(now, shift);
      this.#buffer = opened(this.#buffer, now, sha256);
      await this.#save();
    } else if (now - from >= this.#bin) {
      await this.#close(now, shift);
      await this.#save();
    }
  }

  /** What was measured by the clock as it was is told by it; no bin spans the jump. */
  async #cutBeforeJump({ at, shift }: { at: number; shift: number }): Promise<void> {
    await this.#close(at, shift);
    this.#buffer = { ...this.#buffer, from: null };
  }

  /** Closes the bin for a boot that the update causes; the next tick opens another, so that neither spans the activation. */
  async cut(now: number, shift: number): Promise<void> {
    if (this.#buffer.from === null) return;
    await this.#close(now, shift);
    this.#buffer = { ...this.#buffer, from: null };
    await this.#save();
  }

  /** Notes that somebody offered this charger something forged. */
  alarm(now: number, code: string): void {
    this.#buffer = noted(this.#buffer, { at: rfc3339(now), signal: 'security', code });
  }

  /** The reports for a check-in. From now on they do not change any more. */
  take(): HealthReport[] {
    const reports = sending(this.#buffer);
    this.#buffer = sent(this.#buffer, reports.at(-1)?.sequence ?? 0);
    return reports;
  }

  /** Not made durable at once: a report that comes again is counted once by its number. */
  acknowledge(sequence: number): void {
    this.#buffer = acknowledged(this.#buffer, sequence);
  }

  async #close(now: number, shift: number): Promise<void> {
    const { from } = this.#buffer;
    if (from === null || now <= from) return;
    const material = await this.#host.collect(from, now);
    this.#buffer = closed(this.#buffer, now, material, shift);
  }

  async #save(): Promise<void> {
    await this.#files.write(FILE, Buffer.from(JSON.stringify(this.#buffer)));
  }
}

function parse(bytes: Buffer | undefined): HealthBuffer | undefined {
  if (!bytes) return undefined;
  try {
    const { format: _, ...value } = readBuffer(parseJson(bytes, FILE_BYTES), '');
    // What was sent before a restart is not written down, so everything may have been.
    return { ...value, format: 1, sent: value.sequence };
  } catch {
    return undefined;
  }
}
