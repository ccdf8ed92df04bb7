/** The demo's fleet: a process of its own for the chargers with slot files, and one charger with real RAUC where RAUC can run. */
import { type ChildProcess, fork } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { startFleet as startChargers } from '@tidegate/rollout/simulation/sdk';
import { ROOT } from './options.ts';
import { raucBody, type RaucTestbed } from './rauc.ts';
import { HARDWARE, PRODUCT, type Release } from './releases.ts';
import { credentialOf, type Stage } from './stage.ts';

export const CHARGERS = 60;
const SITES = 8;
/** Seconds of one health report: half as many as with the default, and still two in each bin of the detector. */
const HEALTH_BIN = 1800;
const STOP_MS = 20_000;

export interface Fleet {
  /** Folder of a charger that may be copied once the fleet has stopped. */
  victim: string;
  stop(): Promise<void>;
}

export function rootFile({ home }: Stage): string {
  return path.join(home, 'service', 'initial', '1.root.json');
}

/** Enrols the chargers, each with its one-time token, and lets them run. */
export async function startFleet(stage: Stage, factory: Release): Promise<Fleet> {
  const { testbed, folder, screen, atEnd } = stage;
  const ends = [await startProcess(stage, factory, testbed ? CHARGERS - 1 : CHARGERS)];
  if (testbed !== undefined) ends.push(await startRaucCharger(stage, testbed, factory));
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0)) await end();
  };
  atEnd(stop);
  screen.say(`Fleet: ${CHARGERS} chargers at ${SITES} sites, each with the real SDK, on ${factory.version}.`);
  return { victim: path.join(folder, 'fleet', 'DC150-SIM-00001'), stop };
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
  });
  stage.atEnd(() => stopped(child));
  child.stdout?.pipe(log);
  await new Promise<void>((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      log.write(chunk);
      said += chunk.toString();
      if (said.includes('are running')) resolve();
    });
    child.once('exit', () => reject(new Error(`The fleet ended: ${said.trim() || 'without a word'}`)));
  });
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
): Promise<() => Promise<void>> {
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
    bodies: new Map([[serial, await raucBody(testbed, path.join(folder, serial))]]),
    healthBin: HEALTH_BIN,
  });
  return () => fleet.stop();
}
