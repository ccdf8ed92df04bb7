/** What befalls a simulated fleet: storms, and images that are bad. A file, so that it can be changed while the fleet runs. */
import { readFileSync, statSync } from 'node:fs';
import { type ChargerModel, chargerModel, type ChargerTraits, type Storm } from '../charger.ts';

export interface Scenario {
  seed: string;
  faultsPerDay: number;
  /** Times in milliseconds since the epoch, of the fleet's clock. */
  storms: Storm[];
  /** By digest: factor on the rate of connector faults. */
  faultFactors: Record<string, number>;
}

const LOOK_MS = 250;

/** The models of a fleet, made anew whenever the scenario's file changes. */
export class Models {
  readonly #file: string | undefined;
  #scenario: Scenario;
  #models = new Map<string, ChargerModel>();
  #modified = 0;
  #looked = 0;

  constructor(scenario: Scenario, file?: string) {
    this.#scenario = scenario;
    this.#file = file;
  }

  of(traits: Pick<ChargerTraits, 'serial' | 'siteType'>): ChargerModel {
    this.#look();
    const known = this.#models.get(traits.serial);
    if (known !== undefined) return known;
    const model = chargerModel({ ...this.#scenario, ...traits });
    this.#models.set(traits.serial, model);
    return model;
  }

  #look(): void {
    const now = Date.now();
    if (this.#file === undefined || now - this.#looked < LOOK_MS) return;
    this.#looked = now;
    const modified = statSync(this.#file).mtimeMs;
    if (modified === this.#modified) return;
    this.#modified = modified;
    this.#scenario = { ...this.#scenario, ...(JSON.parse(readFileSync(this.#file, 'utf8')) as Scenario) };
    this.#models = new Map();
  }
}
