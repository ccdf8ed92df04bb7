/** What the demo plays on: a folder, a clock, people with keys, an image, and the service. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { fleetClock } from '@tidegate/client-sdk/agent';
import type { Clock } from '@tidegate/client-sdk/protocol';
import { demoPlan } from '@tidegate/rollout/simulation';
import { removeEmbeddedPostgres } from '@tidegate/server/db';
import { type Credential, loadCredential } from '@tidegate/server/operator/commands';
import { DemoClock } from './clock.ts';
import { type Payload, payload, rawImage } from './image.ts';
import { type DemoOptions, ROOT } from './options.ts';
import { type People, people } from './people.ts';
import { openTestbed, type RaucTestbed } from './rauc.ts';
import { HARDWARE, OTHER_HARDWARE, PRODUCT, type Release, release, type ReleasePlan } from './releases.ts';
import { credentialLine, tidegateLine } from './hints.ts';
import { unlessInterrupted } from './interruption.ts';
import { ScenarioFile } from './scenario-file.ts';
import type { Screen } from './screen.ts';
import { Service } from './service.ts';

/** Outlives a run: what was fetched is not fetched again. */
const CACHE = path.join(ROOT, '.tidegate', 'cache');

/** Fleet seconds in one second of the wall, until the burn-in begins. */
const FIRST_SPEED = 60;

export interface Stage {
  folder: string;
  /** The state directory of `tidegate`. */
  home: string;
  image: Payload;
  testbed: RaucTestbed | undefined;
  clock: DemoClock;
  /** The same clock, as the SDK reads it. */
  time: Clock;
  env: NodeJS.ProcessEnv;
  url: string;
  people: People;
  scenario: ScenarioFile;
  planFile: string;
  screen: Screen;
  signal: AbortSignal;
  /** Has `ending` called when the demo ends, whatever happens; last in, first out. */
  atEnd: (ending: () => Promise<void>) => void;
}

export async function setStage(
  options: DemoOptions,
  screen: Screen,
  signal: AbortSignal,
  atEnd: Stage['atEnd'],
): Promise<Stage> {
  const { folder } = options;
  await refuseForeign(folder);
  await clearStage(folder);
  await mkdir(path.join(folder, 'images'), { recursive: true });
  await writeFile(path.join(folder, MARKER), '');
  const image = await payload(CACHE, signal);
  const testbed = await openTestbed(path.join(folder, 'rauc'), signal);
  const missing = typeof testbed === 'string' ? testbed : undefined;
  if (typeof testbed !== 'string') atEnd(() => testbed.stop());
  screen.say(
    missing === undefined
      ? `Image: ${image.what}, in RAUC bundles. One charger installs them with real RAUC.`
      : `Image: ${image.what}. No charger with real RAUC: ${missing}.`,
  );
  const home = path.join(folder, 'tidegate');
  const clock = new DemoClock(path.join(folder, 'clock.json'), FIRST_SPEED);
  const env = { ...process.env, TIDEGATE_HOME: home, TIDEGATE_FLEET_CLOCK: clock.file };
  const scenario = new ScenarioFile(path.join(folder, 'scenario.json'), options.seed);
  await scenario.write();
  const planFile = path.join(folder, 'plan.json');
  await writeFile(planFile, JSON.stringify(demoPlan));
  const port = await freePort(options.port);
  if (options.port !== 0 && port !== options.port)
    screen.say(`Port ${options.port} is taken, so the service gets ${port}. Choose one: --port.`);
  const crew = people(home, PRODUCT, { env, signal });
  await crew.as('alice', 'init', '--port', String(port));
  await crew.as('alice', 'product', 'add', PRODUCT, '--hardware', `${HARDWARE},${OTHER_HARDWARE}`);
  screen.say('Ceremony: root and targets 2 of 3, product role 2 of 2, online keys apart, two operators.');
  return {
    folder,
    home,
    image,
    testbed: typeof testbed === 'string' ? undefined : testbed,
    clock,
    time: fleetClock(clock.file),
    env,
    url: `https://localhost:${port}`,
    people: crew,
    scenario,
    planFile,
    screen,
    signal,
    atEnd,
  };
}

/** Says that a folder is the demo's to empty. */
const MARKER = '.tidegate-demo';

/** Somebody's own files are not emptied away. */
async function refuseForeign(folder: string): Promise<void> {
  const entries = await readdir(folder).catch((): string[] => []);
  const own = folder === path.join(ROOT, '.tidegate', 'demo') || entries.includes(MARKER);
  if (entries.length > 0 && !own)
    throw new Error(`${folder} holds other files. Name an empty or a new folder.`);
}

/** Removes what a run left. As root the database may lie elsewhere, so it goes first. */
export async function clearStage(folder: string): Promise<void> {
  await removeEmbeddedPostgres(path.join(folder, 'tidegate', 'service', 'postgres'));
  // A killed run's service may still be writing its last.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 });
}

export async function startService(stage: Stage): Promise<Service> {
  const { folder, env, url, people, screen, signal, atEnd } = stage;
  const service = new Service({
    root: ROOT,
    env,
    url,
    logFile: path.join(folder, 'service.log'),
    pidFile: path.join(folder, 'service.pid'),
    signal,
    onRestart: (count) =>
      screen.say(`  The service died (${count}). Starting it again; the fleet's clock waits.`),
  });
  atEnd(() => service.stop());
  service.start();
  await service.ready(60_000);
  screen.say(`Service: ${url}. Look into it meanwhile, from another terminal:`);
  screen.command(`  ${credentialLine(people.credential('alice'))}`);
  screen.command(`  ${tidegateLine('rollout', 'list')}`);
  screen.command(`  ${tidegateLine('fleet', 'list')}`);
  return service;
}

/** Makes an image of one version, signs it and publishes it. */
export async function publish(stage: Stage, plan: Omit<ReleasePlan, 'image'>): Promise<Release> {
  const { testbed, image, folder, people, signal } = stage;
  if (testbed !== undefined) {
    const bundle = await unlessInterrupted(signal, testbed.makeBundle(image.file, plan.version));
    return release(people, { ...plan, image: bundle });
  }
  const file = path.join(folder, 'images', `dc150-${plan.version}.bin`);
  await rawImage(image.file, plan.version, file);
  return release(people, { ...plan, image: file });
}

export function credentialOf({ people, env, folder }: Stage): Promise<Credential> {
  const nothing = (): void => undefined;
  const context = { out: nothing, err: nothing, json: true, env, cwd: folder, tty: false };
  return loadCredential(context, people.credential('bob'));
}

/** `wanted` if nobody has it, else any. */
function freePort(wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', () => {
      if (wanted === 0) reject(new Error('There is no free port on this machine.'));
      else resolve(freePort(0));
    });
    server.listen(wanted, () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : wanted;
      server.close(() => resolve(port));
    });
  });
}
