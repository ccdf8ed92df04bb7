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
  readonly #bySignal = new Map<Signal, Map<string, Baseline>>();
  readonly #rates = new Map<Signal, number>();

  add(serial: string, exposure: Exposures, events: Counted): void {
    for (const signal of SIGNAL_NAMES) {
      const bySerial = this.#bySignal.get(signal) ?? new Map<string, Baseline>();
      this.#bySignal.set(signal, bySerial);
      const held = bySerial.get(serial) ?? { events: 0, exposure: 0 };
      held.events += events[signal] ?? 0;
      held.exposure += exposure[SIGNALS[signal].exposure] ?? 0;
      bySerial.set(serial, held);
    }
  }

  /** Fixes the mean rates, as the service does when a rollout is created. */
  freeze(): void {
    for (const [signal, bySerial] of this.#bySignal) this.#rates.set(signal, meanRate(bySerial.values()));
  }

  weight(serial: string, signal: Signal): number {
    const baseline = this.#bySignal.get(signal)?.get(serial) ?? { events: 0, exposure: 0 };
    return weight(baseline, this.#rates.get(signal) ?? 0);
  }
}

/** The bins of one rollout: events and weighted exposure by signal, of treated and of control. */
export class Bins {
  readonly #bins = new Map<string, SignalBin>();

  add(
    from: number,
    charger: SimulatedCharger,
    treated: boolean,
    exposure: Exposures,
    events: Counted,
    baselines: Baselines,
  ): void {
    for (const signal of SIGNAL_NAMES) {
      const units = (exposure[SIGNALS[signal].exposure] ?? 0) * baselines.weight(charger.serial, signal);
      const count = events[signal] ?? 0;
      if (units === 0 && count === 0) continue;
      const key = `${signal} ${from}`;
      const bin = this.#bins.get(key) ?? { signal, from, ...NOTHING };
      bin[treated ? 'treatedExposure' : 'controlExposure'] += units;
      bin[treated ? 'treatedEvents' : 'controlEvents'] += count;
      this.#bins.set(key, bin);
    }
  }

  all(): SignalBin[] {
    return [...this.#bins.values()];
  }
}

const NOTHING = { treatedEvents: 0, treatedExposure: 0, controlEvents: 0, controlExposure: 0 };
