/** The charger's idea of time: its own clock, corrected by signed times, never below the persisted floor. Design §3, "Time". */
import type { Clock } from '../protocol/index.ts';
import { raiseTimeFloor, readTimeFloor, trustedNow, writeTimeFloor } from '../trust/index.ts';
import type { Files } from '../trust/index.ts';

/** The floor is written when it rose by so much, in ms: a write at each idle check-in would wear the flash. */
const WRITE_AFTER = 6 * 60 * 60 * 1000;
/** A device clock that is off by less is left alone in reports, in ms. */
const TOLERATED = 24 * 60 * 60 * 1000;

export class TimeKeeper {
  readonly #files: Files;
  readonly #clock: Clock;
  #floor: number;
  #written: number;
  #signed: { time: number; clock: number } | undefined;

  private constructor(files: Files, clock: Clock, floor: number) {
    this.#files = files;
    this.#clock = clock;
    this.#floor = floor;
    this.#written = floor;
  }

  static async open(files: Files, clock: Clock, buildTime: number): Promise<TimeKeeper> {
    return new TimeKeeper(files, clock, await readTimeFloor(files, buildTime));
  }

  /** Trusted time, ms. */
  now(): number {
    return trustedNow(this.#clock.now(), this.#floor, this.#signed);
  }

  /** A time that is certainly past, ms. */
  get floor(): number {
    return this.#floor;
  }

  /** How far the device's clock is off, ms; 0 where that is little. */
  get correction(): number {
    const off = this.now() - this.#clock.now();
    return Math.abs(off) > TOLERATED ? off : 0;
  }

  /** Whether this boot has heard a signed time: until then `now` is a guess, and `floor` alone is certain. */
  get heard(): boolean {
    return this.#signed !== undefined;
  }

  /** @param limit see `raiseTimeFloor` */
  async learn(signedTime: number, limit: number): Promise<void> {
    this.#signed = { time: signedTime, clock: this.#clock.now() };
    this.#floor = raiseTimeFloor(this.#floor, signedTime, limit);
    if (this.#floor - this.#written < WRITE_AFTER) return;
    await writeTimeFloor(this.#files, this.#floor);
    this.#written = this.#floor;
  }
}
