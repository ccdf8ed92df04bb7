import type { Signal } from '@tidegate/client-sdk/protocol';

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

/** `treated` ran the release during the bin; `control` had not taken it yet. */
export type Arm = 'treated' | 'control';

/** Adds up what the reports of a batch say, so that each counter row is written once a batch. */
export class Evidence {
  readonly #bins = new Map<string, BinAddition>();
  readonly #steps = new Map<string, StepAddition>();
  readonly #hard = new Map<string, HardAddition>();

  addExposure(rollout: string, signal: Signal, bin: number, arm: Arm, exposure: number): void {
    const addition = this.#bin(rollout, signal, bin);
    if (arm === 'treated') addition.treatedExposure += exposure;
    else addition.controlExposure += exposure;
  }

  addEvent(rollout: string, signal: Signal, bin: number, arm: Arm): void {
    const addition = this.#bin(rollout, signal, bin);
    if (arm === 'treated') addition.treatedEvents += 1;
    else addition.controlEvents += 1;
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

  hard(): HardAddition[] {
    return [...this.#hard.values()];
  }
}
