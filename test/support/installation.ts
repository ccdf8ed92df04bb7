/** A whole installation in a folder of its own, as people set one up: keys, people, and the service as a process that is started again when it dies. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { removeEmbeddedPostgres } from '@tidegate/server/db';
import { type People, people } from '../../demo/people.ts';
import { HARDWARE, OTHER_HARDWARE, PRODUCT } from '../../demo/releases.ts';
import { Service } from '../../demo/service.ts';

const ROOT = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));

export interface Installation {
  folder: string;
  /** The state directory. */
  home: string;
  url: string;
  people: People;
  service: Service;
  /** PEM of the CA that the service made. */
  ca: () => Promise<string>;
  /** Process id of the service that runs now. */
  pid: () => number;
  /** Where the embedded PostgreSQL keeps its data. */
  postgres: string;
  /** Stops the service. */
  stop: () => Promise<void>;
  /** Stops the service and removes the folder. */
  remove: () => Promise<void>;
}

/**
 * Makes it and starts the service.
 * @param clock segment of the fleet's clock: a fast one, from this moment on. Without it, the system's.
 * @param settings more of the environment, e.g. `TIDEGATE_STORE`.
 */
export async function install(
  clock?: { fleet: number; speed: number },
  settings: Record<string, string> = {},
): Promise<Installation> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tidegate installation '));
  const home = path.join(folder, '.tidegate');
  const env: NodeJS.ProcessEnv = { ...process.env, TIDEGATE_HOME: home, ...settings };
  if (clock !== undefined) {
    env['TIDEGATE_FLEET_CLOCK'] = path.join(folder, 'clock.json');
    await writeFile(clockFile(folder), JSON.stringify({ segments: [{ wall: Date.now(), ...clock }] }));
  }
  // Nothing interrupts an installation of the tests.
  const { signal } = new AbortController();
  const crew = people(home, PRODUCT, { env, signal });
  await mkdir(path.join(folder, 'images'));
  const port = await freePort();
  await crew.as('alice', 'init', '--port', String(port));
  await crew.as('alice', 'product', 'add', PRODUCT, '--hardware', `${HARDWARE},${OTHER_HARDWARE}`);
  const url = `https://localhost:${port}`;
  const pidFile = path.join(folder, 'service.pid');
  const logFile = path.join(folder, 'service.log');
  const service = new Service({ root: ROOT, env, signal, url, logFile, pidFile, onRestart: () => undefined });
  const postgres = path.join(home, 'service', 'postgres');
  const stop = () => service.stop();
  service.start();
  await service.ready(60_000);
  return {
    folder,
    home,
    url,
    people: crew,
    service,
    postgres,
    ca: async () => (JSON.parse(await readFile(crew.credential('alice'), 'utf8')) as { ca: string }).ca,
    pid: () => Number(readFileSync(pidFile, 'utf8')),
    stop,
    async remove() {
      await stop();
      await removeEmbeddedPostgres(postgres);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Where `install` keeps the fleet's clock. */
export function clockFile(folder: string): string {
  return path.join(folder, 'clock.json');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('A TCP server has a port.');
  server.close();
  await once(server, 'close');
  return address.port;
}
