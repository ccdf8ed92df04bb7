import { cohortKey } from '@tidegate/rollout/core';
import { type ChargerModel, chargerModel, type Storm } from './charger.ts';

/** One simulated charger, with what the service would know of it. */
export interface SimulatedCharger {
  serial: string;
  site: string;
  stratum: string;
  key: number;
  model: ChargerModel;
  running: string;
  /** Everything before this has been reported. */
  reportedUpTo: number;
  /** Its check-ins fall on these minutes after each multiple of the polling interval. */
  phase: number;
  /** Says nothing from then on. */
  silentFrom: number;
}

export interface FleetTraits {
  seed: string;
  chargers: number;
  sites: number;
  faultsPerDay: number;
  frailtyShape: number;
  storms: Storm[];
  faultFactors: Record<string, number>;
  /** Image that all of them run in the beginning. */
  running: string;
  from: number;
}

const SITE_TYPES = ['workplace', 'retail', 'depot', 'highway'];

/** Chargers spread evenly over sites; sites over types, regions and hardware, so that there are strata to draw from. */
export function buildFleet(traits: FleetTraits): SimulatedCharger[] {
  return Array.from({ length: traits.chargers }, (_, i) => {
    const serial = `SIM-${String(i + 1).padStart(5, '0')}`;
    const siteNumber = i % traits.sites;
    const siteType = SITE_TYPES[siteNumber % SITE_TYPES.length] ?? 'retail';
    const { seed, faultsPerDay, frailtyShape, storms, faultFactors } = traits;
    return {
      serial,
      site: `site-${siteNumber + 1}`,
      stratum: `sim-r1/${siteType}/${siteNumber < traits.sites / 2 ? 'north' : 'south'}`,
      key: cohortKey(serial),
      model: chargerModel({ seed, serial, siteType, faultsPerDay, frailtyShape, storms, faultFactors }),
      running: traits.running,
      reportedUpTo: traits.from,
      phase: i % 2,
      silentFrom: Infinity,
    };
  });
}
