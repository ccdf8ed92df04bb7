/** The demo's fleet: a process of its own for the chargers with slot files, and one charger with real RAUC where RAUC can run. */
import { type ChildProcess, fork } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { startFleet as startChargers } from '@tidegate/rollout/simulation/sdk';
import { ROOT } from './options.ts';
import { raucBody, type RaucTestbed } from './rauc.ts';
import { HARDWARE, PRODUCT, type Release } from './releases.ts';
import { type OwnView, ownView, slotViews } from './health.ts';
import { unlessInterrupted } from './interruption.ts';
import { credentialOf, type Stage } from './stage.ts';

export const CHARGERS = 60;
const SITES = 8;
/** Seconds of one health report: half as many as with the default, and still two in each bin of the detector. */
const HEALTH_BIN = 1800;
const STOP_MS = 5000;

export interface Fleet {
  /** Folder of a charger that may be copied once the fleet has stopped. */
  victim: string;
  /** What each charger says of itself, once the fleet has stopped. */
  ownViews(): Promise<OwnView[]>;
  stop(): Promise<void>;
}

export function rootFile({ home }: Stage): string {
  return path.join(home, 'service', 'initial', '1.root.json');
}

/** Enrols the chargers, each with its one-time token, and lets them run. */
export async function startFleet(stage: Stage, factory: Release, chargers = CHARGERS): Promise<Fleet> {
  const { testbed, folder, screen, atEnd } = stage;
  const ends = [await startProcess(stage, factory, testbed ? chargers - 1 : chargers)];
  let raucView: (() => Promise<OwnView>) | undefined;
  if (testbed !== undefined) {
    const charger = await unlessInterrupted(stage.signal, startRaucCharger(stage, testbed, factory));
    ends.push(charger.stop);
    raucView = charger.ownView;
  }
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0)) await end();
  };
  atEnd(stop);
  screen.say(`Fleet: ${chargers} chargers at ${SITES} sites, each with the real SDK, on ${factory.version}.`);
  const fleetFolder = path.join(folder, 'fleet');
  return {
    victim: path.join(fleetFolder, 'DC150-SIM-00001'),
    stop,
    ownViews: async () => [...(await slotViews(fleetFolder)), ...(raucView ? [await raucView()] : [])],
  };
}

/** Resolves with its ending when all its chargers run. */
async function startProcess(stage: Stage, factory: Release, chargers: number): Promise<() => Promise<void>> {
  const { folder, env, people, scenario } = stage;
  const words = {
    product: PRODUCT,
    hardware: HARDWARE,
    factory: factory.version,
    chargers: String(chargers),
    sites: String(SITES),
    folder: path.join(folder, 'fleet'),
    root: rootFile(stage),
    scenario: scenario.file,
    'health-bin': String(HEALTH_BIN),
    credential: people.credential('alice'),
  };
  const args = Object.entries(words).flatMap(([name, value]) => [`--${name}`, value]);
  const log = createWriteStream(path.join(folder, 'fleet.log'));
  // A channel, so that the fleet ends when the demo does, however it does.
  const child = fork(path.join(ROOT, 'tidegate.ts'), ['fleet', 'simulate', ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // A session of its own: Ctrl-C is for the demo, which ends the fleet before the service.
    detached: true,
  });
  stage.atEnd(() => stopped(child));
  child.stdout?.pipe(log);
  const running = new Promise<void>((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      log.write(chunk);
      said += chunk.toString();
      if (said.includes('are running')) resolve();
    });
    child.once('exit', () => reject(new Error(`The fleet ended: ${said.trim() || 'without a word'}`)));
  });
  await unlessInterrupted(stage.signal, running);
  return () => stopped(child);
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await gone;
  clearTimeout(impatience);
}

/** One charger whose images real RAUC installs, over D-Bus. */
async function startRaucCharger(
  stage: Stage,
  testbed: RaucTestbed,
  factory: Release,
): Promise<{ stop: () => Promise<void>; ownView: () => Promise<OwnView> }> {
  const { people, scenario, time } = stage;
  const serial = 'DC150-RAUC-00001';
  const words = ['--product', PRODUCT, '--hardware', HARDWARE, '--site', 'sim-site-1'];
  const { tokens } = await people.as<{ tokens: { token: string }[] }>(
    'alice',
    'fleet',
    'token',
    serial,
    ...words,
  );
  const { organisation, service, ca } = await credentialOf(stage);
  const folder = path.join(stage.folder, 'fleet-rauc');
  const body = await raucBody(testbed, path.join(folder, serial));
  const fleet = await startChargers({
    organisation,
    product: PRODUCT,
    hardware: HARDWARE,
    members: [{ serial, siteType: 'workplace', token: tokens[0]?.token }],
    service: { url: service, ca },
    root: await readFile(rootFile(stage)),
    factory: { sha256: factory.sha256, version: factory.version, securityVersion: 1 },
    factoryPath: factory.path,
    folder,
    clock: time,
    scenario: scenario.scenario,
    scenarioFile: scenario.file,
    bodies: new Map([[serial, body]]),
    healthBin: HEALTH_BIN,
  });
  return {
    stop: () => fleet.stop(),
    ownView: () => ownView(serial, path.join(folder, serial, 'state'), body.installer),
  };
}
