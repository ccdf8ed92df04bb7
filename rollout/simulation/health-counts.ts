import { type ExposureUnit, type Signal, SIGNAL_NAMES, SIGNALS } from '@tidegate/client-sdk/protocol';
import type { SignalBin } from '@tidegate/rollout/core';
import { type Baseline, isRepeat, meanRate, weight } from '@tidegate/rollout/health';
import type { SimulatedCharger } from './fleet.ts';

type Exposures = Partial<Record<ExposureUnit, number>>;
type Counted = Partial<Record<Signal, number>>;

/** De-duplicates events of one fleet: one per charger, signal, code and window. */
export class Repeats {
  readonly #last = new Map<string, number>();
  readonly #minutes: number;

  constructor(minutes: number) {
    this.#minutes = minutes;
  }

  counts(serial: string, event: { at: number; signal: Signal; code: string }): boolean {
    const key = `${serial} ${event.signal} ${event.code}`;
    if (isRepeat(this.#last.get(key) ?? null, event.at, this.#minutes)) return false;
    this.#last.set(key, event.at);
    return true;
  }
}

/** Earlier events and exposure by charger and signal, and the mean rates over the fleet. */
export class Baselines {
  readonly #held = new Map<string, Record<Signal, Baseline>>();
  readonly #weights = new Map<string, Record<Signal, number>>();

  add(serial: string, exposure: Exposures, events: Counted): void {
    const held = this.#held.get(serial) ?? perSignal(() => ({ events: 0, exposure: 0 }));
    this.#held.set(serial, held);
    for (const signal of SIGNAL_NAMES) {
      held[signal].events += events[signal] ?? 0;
      held[signal].exposure += exposure[SIGNALS[signal].exposure] ?? 0;
    }
  }

  /** Fixes mean rates and weights, as the service does when a rollout is created. */
  freeze(): void {
    const all = [...this.#held.values()];
    const rates = perSignal((signal) => meanRate(all.map((held) => held[signal])));
    for (const [serial, held] of this.#held) {
      this.#weights.set(
        serial,
        perSignal((signal) => weight(held[signal], rates[signal])),
      );
    }
  }

  weight(serial: string, signal: Signal): number {
    return this.#weights.get(serial)?.[signal] ?? 1;
  }
}

/** The bins of one rollout: events and weighted exposure by signal, of treated and of control. */
export class Bins {
  readonly #bins = new Map<number, Record<Signal, SignalBin>>();

  add(
    from: number,
    charger: SimulatedCharger,
    treated: boolean,
    exposure: Exposures,
    events: Counted,
    baselines: Baselines,
  ): void {
    const bins = this.#bins.get(from) ?? perSignal((signal) => ({ signal, from, ...NOTHING }));
    this.#bins.set(from, bins);
    for (const signal of SIGNAL_NAMES) {
      const units = (exposure[SIGNALS[signal].exposure] ?? 0) * baselines.weight(charger.serial, signal);
      const bin = bins[signal];
      bin[treated ? 'treatedExposure' : 'controlExposure'] += units;
      bin[treated ? 'treatedEvents' : 'controlEvents'] += events[signal] ?? 0;
    }
  }

  all(): SignalBin[] {
    return [...this.#bins.values()].flatMap((bins) => SIGNAL_NAMES.map((signal) => bins[signal]));
  }
}

const NOTHING = { treatedEvents: 0, treatedExposure: 0, controlEvents: 0, controlExposure: 0 };

function perSignal<T>(make: (signal: Signal) => T): Record<Signal, T> {
  return Object.fromEntries(SIGNAL_NAMES.map((signal) => [signal, make(signal)])) as Record<Signal, T>;
}
