/** Keeps the online roles fresh for as long as the service runs, and says so when it cannot. */
import type { Log } from '@tidegate/rollout/shell';
import { refreshOnline } from './refresh.ts';
import { backOff } from './schedule.ts';
import type { PublishingDeps } from './types.ts';

/** Signing that fails, or whose result does not reach the store. */
export interface RefreshFailure {
  /** Of the first failure in a row, ms of the fleet's clock. */
  since: number;
  attempts: number;
  /** When it is tried again, ms. */
  next: number;
  /** For whoever runs the service: the error's own words. */
  detail: string;
}

/** One replica's. What it does not manage another may; then it finds nothing left to do, and its failure is over. */
export class Refresher {
  readonly #deps: PublishingDeps;
  readonly #log: Log;
  #failure: RefreshFailure | undefined;
  #failures = 0;

  constructor(deps: PublishingDeps, log: Log) {
    this.#deps = deps;
    this.#log = log;
  }

  /** Undefined while all is well. */
  get failure(): RefreshFailure | undefined {
    return this.#failure;
  }

  /** Failed attempts since the start. */
  get failures(): number {
    return this.#failures;
  }

  /** Signs what is due, if the pause after a failure is over. Never throws: what failed is in `failure`, and in the log. */
  async run(): Promise<void> {
    const { clock, organisation, random = Math.random } = this.#deps;
    const before = this.#failure;
    // A clock that was set back does not make the pause longer.
    const paused = before !== undefined && clock.now() < before.next && clock.now() >= before.since;
    if (paused) return;
    try {
      const signed = await refreshOnline(this.#deps);
      if (signed) this.#log.info({ organisation }, 'Signed snapshot and timestamp again.');
      if (before !== undefined) this.#log.info({ organisation, attempts: before.attempts }, RECOVERED);
      this.#failure = undefined;
    } catch (error) {
      const now = clock.now();
      const attempts = (before?.attempts ?? 0) + 1;
      this.#failures += 1;
      const next = now + backOff(attempts, random());
      const detail = error instanceof Error ? error.message : String(error);
      this.#failure = { since: before?.since ?? now, attempts, next, detail };
      this.#log.error({ err: error, organisation, attempts, next: new Date(next).toISOString() }, FAILED);
    }
  }
}

const RECOVERED = 'Snapshot and timestamp can be signed and stored again.';
const FAILED =
  'Snapshot and timestamp could not be signed or stored. It is tried again; until it works, chargers go on with what they have, and take nothing once it has expired.';
