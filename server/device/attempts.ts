import type { Clock } from '@tidegate/client-sdk/protocol';
import { ApiError } from '../http/index.ts';

const WINDOW = 60_000;
/** Addresses remembered at most; the oldest is forgotten first. */
const MOST_SOURCES = 10_000;

/**
 * Counts failed attempts by address within a minute. Only failures count, so that a depot behind one address can enrol all its
 * chargers at once.
 */
export class Attempts {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #sources = new Map<string, { since: number; failures: number }>();

  /** @param clock the wall's. */
  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  /** @throws ApiError `RATE_LIMITED` */
  requireFew(source: string): void {
    const seen = this.#sources.get(source);
    if (seen === undefined || seen.failures < this.#most) return;
    const left = seen.since + WINDOW - this.#clock.now();
    if (left <= 0) return;
    const headers = { 'Retry-After': String(Math.ceil(left / 1000)) };
    throw new ApiError('RATE_LIMITED', 'Too many failed attempts from this address.', { headers });
  }

  failed(source: string): void {
    const now = this.#clock.now();
    const seen = this.#sources.get(source);
    const current = seen !== undefined && now < seen.since + WINDOW ? seen : { since: now, failures: 0 };
    this.#sources.delete(source);
    this.#sources.set(source, { ...current, failures: current.failures + 1 });
    const [oldest] = this.#sources.keys();
    if (this.#sources.size > MOST_SOURCES && oldest !== undefined) this.#sources.delete(oldest);
  }
}
