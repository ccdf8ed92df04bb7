/** Chargers that run the real SDK in a simulated body: for the demo, for tests, and for trying an installation out. */
export { type Body, type SimulatedCharger, simulatedCharger } from './charger.ts';
export { type FleetMember, type FleetOptions, type RunningFleet, startFleet } from './fleet.ts';
export { Models, type Scenario } from './scenario.ts';
export { type RaucTestbed, raucMissing, startRaucTestbed } from './rauc-testbed.ts';
