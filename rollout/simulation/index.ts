/** A fleet that breaks the way fleets do, seeded and repeatable: shared by the demo's real chargers and the I/O-free simulation. */
export {
  chargerModel,
  type ChargerModel,
  type ChargerTraits,
  type ModelEvent,
  type Storm,
} from './charger.ts';
export { demoPlan } from './demo-plan.ts';
export { simulate, type RunResult, type SimulationOptions, type SimulationResult } from './simulate.ts';
export { drawCohort } from './cohorts.ts';
export { Repeats } from './health-counts.ts';
