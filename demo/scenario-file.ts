import { rename, writeFile } from 'node:fs/promises';
import type { Storm } from '@tidegate/rollout/simulation';
import type { Scenario } from '@tidegate/rollout/simulation/sdk';

/** What befalls the fleet, in a file that its process reads again whenever it changes. */
export class ScenarioFile {
  readonly file: string;
  #scenario: Scenario;

  constructor(file: string, seed: number) {
    this.file = file;
    this.#scenario = { seed: String(seed), faultsPerDay: 3, storms: [], faultFactors: {} };
  }

  get scenario(): Scenario {
    return this.#scenario;
  }

  async storm(storm: Storm): Promise<void> {
    await this.#change({ storms: [...this.#scenario.storms, storm] });
  }

  /** Chargers that run this image have `factor` times the faults. */
  async bad(sha256: string, factor: number): Promise<void> {
    await this.#change({ faultFactors: { ...this.#scenario.faultFactors, [sha256]: factor } });
  }

  async #change(change: Partial<Scenario>): Promise<void> {
    this.#scenario = { ...this.#scenario, ...change };
    await this.write();
  }

  async write(): Promise<void> {
    await writeFile(`${this.file}.part`, JSON.stringify(this.#scenario));
    await rename(`${this.file}.part`, this.file);
  }
}
