import type { Exposure, ExposureUnit, Signal } from '@tidegate/client-sdk/protocol';

/** What one batch adds to `signal_bins`; one row per rollout, signal and bin. */
export interface BinAddition {
  rollout: string;
  signal: Signal;
  /** Start of the bin, ms. */
  from: number;
  treatedEvents: number;
  treatedExposure: number;
  controlEvents: number;
  controlExposure: number;
}

/** What one batch adds to `step_exposure`. */
export interface StepAddition {
  rollout: string;
  step: number;
  hours: number;
}

/** A treated charger's hard event. */
export interface HardAddition {
  rollout: string;
  serial: string;
  site: string;
  code: string;
  /** ms */
  at: number;
}

/** Counted events of one treated charger in one bin. */
export interface TreatedEventsAddition {
  rollout: string;
  signal: Signal;
  serial: string;
  /** Start of the bin, ms. */
  from: number;
  events: number;
}

/** Exposure of one treated charger, unweighted, and the bins that it is of. */
export interface TreatedExposureAddition extends Record<ExposureUnit, number> {
  rollout: string;
  serial: string;
  /** Starts, ms. */
  firstBin: number;
  lastBin: number;
}

/** `treated` ran the release during the bin; `control` had not taken it yet. */
export type Arm = 'treated' | 'control';

/** Adds up what the reports of a batch say, so that each counter row is written once a batch. */
export class Evidence {
  readonly #bins = new Map<string, BinAddition>();
  readonly #steps = new Map<string, StepAddition>();
  readonly #hard = new Map<string, HardAddition>();
  readonly #unconfirmed = new Map<string, { rollout: string; serial: string }>();
  readonly #treatedEvents = new Map<string, TreatedEventsAddition>();
  readonly #treatedExposures = new Map<string, TreatedExposureAddition>();

  addExposure(rollout: string, signal: Signal, bin: number, arm: Arm, exposure: number): void {
    const addition = this.#bin(rollout, signal, bin);
    if (arm === 'treated') addition.treatedExposure += exposure;
    else addition.controlExposure += exposure;
  }

  addEvent(rollout: string, signal: Signal, bin: number, arm: Arm, serial: string): void {
    const addition = this.#bin(rollout, signal, bin);
    if (arm === 'control') {
      addition.controlEvents += 1;
      return;
    }
    addition.treatedEvents += 1;
    const key = `${rollout} ${signal} ${bin} ${serial}`;
    const events = this.#treatedEvents.get(key)?.events ?? 0;
    this.#treatedEvents.set(key, { rollout, signal, serial, from: bin, events: events + 1 });
  }

  /** Exposure of a treated charger in bins from the first to the last. */
  addTreated(rollout: string, serial: string, exposure: Exposure, firstBin: number, lastBin: number): void {
    const key = `${rollout} ${serial}`;
    const held = this.#treatedExposures.get(key);
    const sum = (unit: ExposureUnit): number => (held?.[unit] ?? 0) + (exposure[unit] ?? 0);
    this.#treatedExposures.set(key, {
      rollout,
      serial,
      attempts: sum('attempts'),
      connectorHours: sum('connectorHours'),
      chargerHours: sum('chargerHours'),
      transactions: sum('transactions'),
      firstBin: Math.min(firstBin, held?.firstBin ?? firstBin),
      lastBin: Math.max(lastBin, held?.lastBin ?? lastBin),
    });
  }

  addHours(rollout: string, step: number, hours: number): void {
    const key = `${rollout} ${step}`;
    const sum = this.#steps.get(key)?.hours ?? 0;
    this.#steps.set(key, { rollout, step, hours: sum + hours });
  }

  /** One charger is one hard event of a rollout, however often it tells. */
  addHard(addition: HardAddition): void {
    const key = `${addition.rollout} ${addition.serial}`;
    if (!this.#hard.has(key)) this.#hard.set(key, addition);
  }

  /** A charger that says that it runs the release, without the service's confirmation that it may. */
  addUnconfirmed(rollout: string, serial: string): void {
    this.#unconfirmed.set(`${rollout} ${serial}`, { rollout, serial });
  }

  #bin(rollout: string, signal: Signal, from: number): BinAddition {
    const key = `${rollout} ${from} ${signal}`;
    let addition = this.#bins.get(key);
    if (addition === undefined) {
      addition = {
        rollout,
        signal,
        from,
        treatedEvents: 0,
        treatedExposure: 0,
        controlEvents: 0,
        controlExposure: 0,
      };
      this.#bins.set(key, addition);
    }
    return addition;
  }

  bins(): BinAddition[] {
    return [...this.#bins.values()];
  }

  steps(): StepAddition[] {
    return [...this.#steps.values()];
  }

  unconfirmed(): { rollout: string; serial: string }[] {
    return [...this.#unconfirmed.values()];
  }

  treatedEvents(): TreatedEventsAddition[] {
    return [...this.#treatedEvents.values()];
  }

  treatedExposures(): TreatedExposureAddition[] {
    return [...this.#treatedExposures.values()];
  }

  hard(): HardAddition[] {
    return [...this.#hard.values()];
  }
}
