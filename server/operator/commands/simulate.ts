/** `tidegate fleet simulate`: chargers for trying things out, each running the real SDK against the real service. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { clockFrom } from '@tidegate/client-sdk/agent';
import { type FleetMember, type RunningFleet, startFleet } from '@tidegate/rollout/simulation/sdk';
import { type ServiceClient, serviceClient } from './client.ts';
import { type CommandContext, CommandError, EXIT } from './context.ts';
import type { Credential } from './credential.ts';

export interface SimulateOptions {
  product: string;
  hardware: string;
  /** Release that the chargers leave the factory with; published, not installed. */
  version: string;
  chargers: number;
  sites: number;
  seed: string;
  folder: string;
  /** `root.json` that the chargers are provisioned with. */
  root: string;
  /** JSON: `{seed, faultsPerDay, storms, faultFactors}`, read again whenever it changes. */
  scenario?: string;
  healthBin: number;
}

const SITE_TYPES = ['workplace', 'retail', 'depot', 'highway'] as const;
const ENROLLING = 8;

interface PlannedCharger {
  serial: string;
  site: string;
  siteType: string;
}

/** Makes the sites and tokens that are missing, enrols the chargers that are not, and starts them all. */
export async function simulateFleet(
  context: CommandContext,
  credential: Credential,
  options: SimulateOptions,
): Promise<RunningFleet> {
  const client = serviceClient(credential);
  try {
    const { sha256, version, securityVersion, path: factoryPath } = await factoryRelease(client, options);
    await addSites(client, options);
    const members = await tokensFor(client, options, plannedFleet(options));
    const root = await readFile(path.resolve(context.cwd, options.root));
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    return await startFleet({
      organisation: credential.organisation,
      product: options.product,
      hardware: options.hardware,
      members,
      service: { url: credential.service, ca: credential.ca },
      root,
      factory: { sha256, version, securityVersion },
      factoryPath,
      folder: options.folder,
      clock: clockFrom(context.env),
      scenario: { seed: options.seed, faultsPerDay: 3, storms: [], faultFactors: {} },
      ...(options.scenario === undefined
        ? {}
        : { scenarioFile: path.resolve(context.cwd, options.scenario) }),
      healthBin: options.healthBin,
    });
  } finally {
    client.close();
  }
}

interface FactoryRelease {
  path: string;
  sha256: string;
  version: string;
  securityVersion: number;
  hardware: string[];
}

async function factoryRelease(client: ServiceClient, options: SimulateOptions): Promise<FactoryRelease> {
  const { product, version } = options;
  const release = await client.get<FactoryRelease>(`/releases/${product}/${version}`);
  if (!release.hardware.includes(options.hardware)) {
    throw new CommandError(
      EXIT.usage,
      'HARDWARE_MISMATCH',
      `${product} ${version} fits ${release.hardware.join(', ')}, not ${options.hardware}. Give --hardware accordingly.`,
    );
  }
  return release;
}

function plannedFleet({ chargers, sites, product }: SimulateOptions): PlannedCharger[] {
  const prefix = product.split('.').at(-1)?.toUpperCase() ?? 'SIM';
  return Array.from({ length: chargers }, (_, i) => ({
    serial: `${prefix}-SIM-${String(i + 1).padStart(5, '0')}`,
    site: siteId(i % sites),
    siteType: siteType(i % sites),
  }));
}

const siteId = (number: number): string => `sim-site-${number + 1}`;
const siteType = (number: number): string => SITE_TYPES[number % SITE_TYPES.length] ?? 'retail';

/** Sites spread over types and two regions, so that there are strata to draw from. */
async function addSites(client: ServiceClient, { sites }: SimulateOptions): Promise<void> {
  for (let i = 0; i < sites; i++) {
    try {
      await client.post('/sites', {
        id: siteId(i),
        name: `Simulated site ${i + 1}`,
        type: siteType(i),
        region: i < sites / 2 ? 'north' : 'south',
        timeZone: 'Europe/Berlin',
        reason: 'simulated fleet',
      });
    } catch (error) {
      if (!(error instanceof CommandError) || error.code !== 'ALREADY_EXISTS') throw error;
    }
  }
}

async function tokensFor(
  client: ServiceClient,
  options: SimulateOptions,
  planned: readonly PlannedCharger[],
): Promise<FleetMember[]> {
  const { folder, product, hardware } = options;
  const members: FleetMember[] = [];
  for (let i = 0; i < planned.length; i += ENROLLING) {
    const batch = planned.slice(i, i + ENROLLING).map(async ({ serial, site, siteType }) => {
      const enrolled = existsSync(path.join(folder, serial, 'state', 'identity', 'certificate.pem'));
      if (enrolled) return { serial, siteType, token: undefined };
      const body = { serial, product, hardware, site, reason: 'simulated fleet' };
      const { token } = await client.post<{ token: string }>('/fleet/tokens', body);
      return { serial, siteType, token };
    });
    members.push(...(await Promise.all(batch)));
  }
  return members;
}

/** A seed for whoever names none: the same folder gives the same fleet. */
export function seedOf(folder: string): string {
  return createHash('sha256').update(folder).digest('hex').slice(0, 8);
}
