import { type ExposureUnit, type Signal, SIGNAL_NAMES, SIGNALS } from '@tidegate/client-sdk/protocol';
import type { Earlier, SignalBin, TreatedCharger } from '@tidegate/rollout/core';
import { type Baseline, isRepeat, meanRate, weight } from '@tidegate/rollout/health';
import type { SimulatedCharger } from './fleet.ts';

type Exposures = Partial<Record<ExposureUnit, number>>;
type Counted = Partial<Record<Signal, number>>;

/** De-duplicates events of one fleet: one per charger, signal and window, whatever their codes. */
export class Repeats {
  readonly #last = new Map<string, number>();
  readonly #minutes: number;

  constructor(minutes: number) {
    this.#minutes = minutes;
  }

  counts(serial: string, event: { at: number; signal: Signal }): boolean {
    const key = `${serial} ${event.signal}`;
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

  /** What concurrent control is replaced by where there is none. */
  earlier(): Earlier {
    const all = [...this.#held.values()];
    return perSignal((signal) => ({
      events: all.reduce((sum, held) => sum + held[signal].events, 0),
      exposure: all.reduce((sum, held) => sum + held[signal].exposure, 0),
    }));
  }

  weight(serial: string, signal: Signal): number {
    return this.#weights.get(serial)?.[signal] ?? 1;
  }
}

/** The bins of one rollout: events and weighted exposure by signal, of treated and of control. */
export class Bins {
  readonly #bins = new Map<number, Record<Signal, SignalBin>>();
  /** By charger, then by signal. */
  readonly #treated = new Map<string, Record<Signal, TreatedCharger>>();

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
      const count = events[signal] ?? 0;
      const units = (exposure[SIGNALS[signal].exposure] ?? 0) * baselines.weight(charger.serial, signal);
      const bin = bins[signal];
      bin[treated ? 'treatedExposure' : 'controlExposure'] += units;
      bin[treated ? 'treatedEvents' : 'controlEvents'] += count;
      if (!treated) continue;
      const mine = this.#ofCharger(charger, from)[signal];
      mine.exposure += units;
      mine.to = from + 1;
      if (count > 0) mine.events.push({ from, count });
    }
  }

  all(): SignalBin[] {
    return [...this.#bins.values()].flatMap((bins) => SIGNAL_NAMES.map((signal) => bins[signal]));
  }

  treated(): TreatedCharger[] {
    return [...this.#treated.values()].flatMap((mine) => SIGNAL_NAMES.map((signal) => mine[signal]));
  }

  #ofCharger({ serial, site }: SimulatedCharger, from: number): Record<Signal, TreatedCharger> {
    const known = this.#treated.get(serial);
    if (known !== undefined) return known;
    const fresh = perSignal((signal) => ({
      signal,
      serial,
      site,
      events: [],
      exposure: 0,
      from,
      to: from,
    })) as Record<Signal, TreatedCharger>;
    this.#treated.set(serial, fresh);
    return fresh;
  }
}

const NOTHING = { treatedEvents: 0, treatedExposure: 0, controlEvents: 0, controlExposure: 0 };

function perSignal<T>(make: (signal: Signal) => T): Record<Signal, T> {
  return Object.fromEntries(SIGNAL_NAMES.map((signal) => [signal, make(signal)])) as Record<Signal, T>;
}
