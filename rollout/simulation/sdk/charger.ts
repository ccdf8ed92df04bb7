/** One charger of the simulated fleet: the real SDK in a simulated body. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import {
  Agent,
  type AgentNews,
  enrol,
  type Host,
  httpsTransport,
  type Identity,
  readIdentity,
  type Transport,
} from '@tidegate/client-sdk/agent';
import { bootSelect, type Installer, provisionSlots, slotFiles } from '@tidegate/client-sdk/install';
import type { Clock } from '@tidegate/client-sdk/protocol';
import { diskFiles } from '@tidegate/client-sdk/trust';
import type { ChargerModel } from '../charger.ts';
import { type FactoryImage, placeFactoryImage } from './factory-image.ts';

/** What is under the agent: where images go, and what a boot does. */
export interface Body {
  installer: Installer;
  boot(): Promise<void>;
}

export interface SimulatedChargerOptions {
  identity: Identity;
  /** Folder of this charger: `state/`, `slots/`. */
  folder: string;
  service: { url: string; ca: string };
  /** One-time token; not needed where the charger is enrolled already. */
  token: string | undefined;
  clock: Clock;
  /** Time of the network; the machine's clock unless told. */
  wall?: Clock;
  /** Asked anew each time: the model's storms and bad images may change while it runs. */
  model: () => ChargerModel;
  /** Two slot files with the factory image in the first, unless told. */
  body?: Body;
  factoryImage?: FactoryImage;
  /** HTTPS with its own certificate, unless told. */
  transport?: Transport;
  onEvent?: (news: AgentNews) => void;
}

export interface SimulatedCharger {
  serial: string;
  agent: Agent;
  transport: Transport;
  installer: Installer;
}

/** Enrols the charger where it is not, and gives it its agent. */
export async function simulatedCharger(options: SimulatedChargerOptions): Promise<SimulatedCharger> {
  const { identity, folder, clock, onEvent } = options;
  const state = path.join(folder, 'state');
  await mkdir(state, { recursive: true, mode: 0o700 });
  const transport = options.transport ?? (await connect(options, state));
  const body = options.body ?? (await slotBody(options, transport));
  const agent = new Agent({
    identity,
    files: diskFiles(state),
    installer: body.installer,
    host: simulatedHost(body, clock, options.model),
    transport,
    clock,
    ...(options.wall ? { wall: options.wall } : {}),
    ...(onEvent ? { onEvent } : {}),
  });
  return { serial: identity.serial, agent, transport, installer: body.installer };
}

async function slotBody(
  { folder, identity, factoryImage }: SimulatedChargerOptions,
  transport: Transport,
): Promise<Body> {
  const slots = path.join(folder, 'slots');
  if (!existsSync(slots)) {
    await mkdir(slots, { recursive: true, mode: 0o700 });
    if (factoryImage) await placeFactoryImage(factoryImage, path.join(slots, 'slot-a'), transport);
  }
  await provisionSlots(slots, identity.factory);
  return {
    installer: slotFiles(slots),
    boot: async () => {
      await bootSelect(slots);
    },
  };
}

async function connect(options: SimulatedChargerOptions, state: string): Promise<Transport> {
  const { identity, service, token } = options;
  let client = await readIdentity(state);
  if (client === undefined) {
    if (token === undefined) throw new Error(`${identity.serial} is not enrolled and has no token.`);
    const unnamed = httpsTransport({ service: service.url, ca: service.ca });
    client = await enrol({ provisioning: identity, folder: state, token, transport: unnamed });
    unnamed.close();
  }
  return httpsTransport({ service: service.url, ca: service.ca, client });
}

function simulatedHost(body: Body, clock: Clock, model: () => ChargerModel): Host {
  return {
    isCharging: () => model().charging(clock.now()),
    reboot: () => body.boot(),
    healthy: async () => true,
    collect: async (from, to) => {
      const { booted } = await body.installer.status();
      const { exposure, events } = model().interval(from, to, booted.image?.sha256 ?? null);
      return {
        exposure,
        events: events.map(({ at, ...event }) => ({ ...event, at: new Date(at).toISOString() })),
      };
    },
  };
}
