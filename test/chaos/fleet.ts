/** A few chargers with the real SDK in this process, each with a witness beside it. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Agent, enrol, httpsTransport } from '@tidegate/client-sdk/agent';
import { bootSelect, provisionSlots, slotFiles } from '@tidegate/client-sdk/install';
import type { Clock } from '@tidegate/client-sdk/protocol';
import { chargerModel } from '@tidegate/rollout/simulation';
import { simulatedCharger } from '@tidegate/rollout/simulation/sdk';
import { HARDWARE, PRODUCT, type Release } from '../../demo/releases.ts';
import type { Installation } from '../support/installation.ts';
import { Witness } from './witness.ts';

export interface Fleet {
  witnesses: Witness[];
  /** Lets every agent run. */
  run(): void;
  /** Ends every agent's loop. Rejects with what an agent threw. */
  stop(): Promise<void>;
}

const SITES = 4;
/** A network clock in a hurry, so that pauses after failures do not make up most of the test. */
const HASTE = 20;
const HASTY: Clock = {
  now: () => Date.now() * HASTE,
  sleep: (ms, signal) => delay(ms / HASTE, undefined, signal ? { signal } : {}),
};

/** Enrols so many chargers, on the factory release. They do nothing until `run`. */
export async function makeFleet(
  installation: Installation,
  options: { chargers: number; factory: Release; image: string; clock: Clock; seed: string },
): Promise<Fleet> {
  const { people } = installation;
  for (let i = 1; i <= SITES; i++) {
    const words = ['--type', 'workplace', '--region', 'north', '--time-zone', 'Europe/Berlin'];
    await people.as('alice', 'site', 'add', `site-${i}`, '--name', `Site ${i}`, ...words);
  }
  const witnesses = Array.from(
    { length: options.chargers },
    (_, i) => new Witness(`CP-${String(i + 1).padStart(3, '0')}`),
  );
  const built: { agent: Agent; close: () => void }[] = [];
  for (const [i, witness] of witnesses.entries()) {
    built.push(await makeCharger(installation, witness, `site-${(i % SITES) + 1}`, options));
  }
  const ending = new AbortController();
  let loops: Promise<void>[] = [];
  return {
    witnesses,
    run() {
      loops = built.map(({ agent }) => agent.run(ending.signal));
      for (const loop of loops) loop.catch(() => undefined);
    },
    async stop() {
      ending.abort();
      try {
        await Promise.all(loops);
      } finally {
        for (const { close } of built) close();
      }
    },
  };
}

async function makeCharger(
  installation: Installation,
  witness: Witness,
  site: string,
  { factory, image, clock, seed }: Parameters<typeof makeFleet>[1],
): Promise<{ agent: Agent; close: () => void }> {
  const { serial } = witness;
  const words = ['--product', PRODUCT, '--hardware', HARDWARE, '--site', site];
  const { tokens } = await installation.people.as<{ tokens: { token: string }[] }>(
    'alice',
    'fleet',
    'token',
    serial,
    ...words,
  );
  const identity = {
    organisation: 'acme',
    product: PRODUCT,
    hardware: HARDWARE,
    serial,
    securityFloor: 0,
    buildTime: new Date(clock.now()).toISOString(),
    factory: { sha256: factory.sha256, version: factory.version, securityVersion: 1 },
    healthDeadline: 600,
    healthBin: 600,
    root: await readFile(path.join(installation.home, 'service', 'initial', '1.root.json')),
  };
  const folder = path.join(installation.folder, 'fleet', serial);
  const slots = path.join(folder, 'slots');
  await mkdir(slots, { recursive: true, mode: 0o700 });
  await writeFile(path.join(slots, 'slot-a'), await readFile(image));
  await provisionSlots(slots, identity.factory);

  const service = { service: installation.url, ca: await installation.ca() };
  const state = path.join(folder, 'state');
  const unnamed = httpsTransport(service);
  const token = tokens[0]?.token ?? randomUUID();
  const client = await enrol({ provisioning: identity, folder: state, token, transport: unnamed });
  unnamed.close();
  const transport = httpsTransport({ ...service, client, timeout: 3_000 });

  const model = chargerModel({ seed, serial, siteType: 'workplace', faultsPerDay: 20, frailtyShape: 100 });
  const installer = witness.beside(slotFiles(slots));
  const { agent } = await simulatedCharger({
    identity,
    folder,
    service: { url: service.service, ca: service.ca },
    token: undefined,
    clock,
    wall: HASTY,
    model: () => model,
    body: { installer, boot: async () => void (await bootSelect(slots)) },
    transport: witness.over(transport),
  });
  return { agent, close: () => transport.close() };
}
