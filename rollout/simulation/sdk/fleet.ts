/** A fleet of real SDK chargers in one process. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { AgentNews } from '@tidegate/client-sdk/agent';
import type { Clock, RunningImage } from '@tidegate/client-sdk/protocol';
import { type Body, type SimulatedCharger, simulatedCharger } from './charger.ts';
import { Models, type Scenario } from './scenario.ts';

export interface FleetMember {
  serial: string;
  siteType: string;
  /** Undefined where its folder holds a certificate already. */
  token: string | undefined;
}

export interface FleetOptions {
  organisation: string;
  product: string;
  hardware: string;
  members: readonly FleetMember[];
  service: { url: string; ca: string };
  /** Bytes of the TUF root that the chargers are provisioned with. */
  root: Uint8Array;
  /** What they leave the factory with. */
  factory: RunningImage;
  /** TUF path of that image. */
  factoryPath: string;
  folder: string;
  clock: Clock;
  scenario: Scenario;
  /** Read again whenever it changes. */
  scenarioFile?: string;
  /** Another body than two slot files, for some of them. */
  bodies?: ReadonlyMap<string, Body>;
  /** Seconds that one health bin covers. */
  healthBin: number;
  onEvent?: (serial: string, news: AgentNews) => void;
}

export interface RunningFleet {
  chargers: readonly SimulatedCharger[];
  /** Ends every agent's loop and its connections. Rejects with what an agent threw: a fault of the simulator or of this machine. */
  stop(): Promise<void>;
}

/** At most so many chargers make their key and certificate at once. */
const ENROLLING = 8;

/** Enrols whoever is not, then lets every agent run until `stop`. */
export async function startFleet(options: FleetOptions): Promise<RunningFleet> {
  const models = new Models(options.scenario, options.scenarioFile);
  const chargers = await inTurn(options.members, ENROLLING, (member) => build(options, models, member));
  const ending = new AbortController();
  const loops = chargers.map(({ agent }) => agent.run(ending.signal));
  // Nobody awaits a loop before `stop`; its error must not end the process until then.
  for (const loop of loops) loop.catch(() => undefined);
  return {
    chargers,
    async stop() {
      ending.abort();
      try {
        await Promise.all(loops);
      } finally {
        for (const { transport } of chargers) transport.close();
      }
    },
  };
}

async function build(options: FleetOptions, models: Models, member: FleetMember): Promise<SimulatedCharger> {
  const { serial, siteType, token } = member;
  const folder = path.join(options.folder, serial);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const body = options.bodies?.get(serial);
  return simulatedCharger({
    identity: {
      organisation: options.organisation,
      product: options.product,
      hardware: options.hardware,
      serial,
      securityFloor: 0,
      buildTime: new Date(options.clock.now()).toISOString(),
      factory: options.factory,
      healthDeadline: 600,
      healthBin: options.healthBin,
      root: options.root,
    },
    folder,
    service: options.service,
    token,
    clock: options.clock,
    model: () => models.of({ serial, siteType }),
    ...(body ? { body } : {}),
    ...(options.factory.sha256 === null
      ? {}
      : {
          factoryImage: {
            path: options.factoryPath,
            sha256: options.factory.sha256,
            folder: options.folder,
          },
        }),
    onEvent: (news) => options.onEvent?.(serial, news),
  });
}

async function inTurn<T, R>(items: readonly T[], width: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let i = 0; i < items.length; i += width) {
    results.push(...(await Promise.all(items.slice(i, i + width).map(work))));
  }
  return results;
}
