/** The demo's second clock: the fleet's time runs faster than the wall's. Service and chargers read it from one file. */
import { renameSync, writeFileSync } from 'node:fs';

interface Segment {
  wall: number;
  fleet: number;
  speed: number;
}

/** Both processes must have read a change before it counts. */
const AHEAD_MS = 400;

export class DemoClock {
  readonly file: string;
  readonly #segments: Segment[];
  #speed: number;
  #divisor = 1;

  constructor(file: string, speed: number) {
    this.file = file;
    this.#speed = speed;
    const now = Date.now();
    this.#segments = [{ wall: now, fleet: now, speed }];
    this.#write();
  }

  now(): number {
    return this.at(Date.now());
  }

  /** The fleet's time at a time of the wall's clock. */
  at(wall: number): number {
    const segment = this.#segments.findLast((candidate) => candidate.wall <= wall) ?? this.#segments[0];
    if (segment === undefined) throw new Error('The demo clock has no segment.');
    return segment.fleet + (wall - segment.wall) * segment.speed;
  }

  /** From a moment on, one wall second is `speed` seconds of the fleet. */
  setSpeed(speed: number): void {
    this.#speed = speed;
    this.#change();
  }

  /** For as long as the machine is behind, a part of that speed: 1 for all of it. */
  divide(divisor: number): void {
    if (divisor === this.#divisor) return;
    this.#divisor = divisor;
    this.#change();
  }

  #change(): void {
    const wall = Date.now() + AHEAD_MS;
    this.#segments.push({ wall, fleet: this.at(wall), speed: this.#speed / this.#divisor });
    this.#write();
  }

  #write(): void {
    writeFileSync(`${this.file}.part`, JSON.stringify({ segments: this.#segments }));
    renameSync(`${this.file}.part`, this.file);
  }
}
