import { join } from 'node:path';
import type { Logger } from 'pino';
import { fleetClock, systemClock } from '@tidegate/client-sdk/agent/clock';
import type { Clock } from '@tidegate/client-sdk/protocol';
import { type RolloutRef, work } from '@tidegate/rollout/shell';
import { type BlobStore, fileBlobs } from '@tidegate/signer/repository';
import {
  alarmLog,
  alarmsOf,
  certificateFacts,
  type Facts,
  factsOf,
  type FactsDeps,
  rolloutLifetimes,
} from '../alarms/index.ts';
import { openS3 } from '../blobs/index.ts';
import { PgRolloutStore } from '../db/index.ts';
import { deviceRouter } from '../device/index.ts';
import { DeviceAuthority } from '../identity/index.ts';
import { operatorRouter } from '../operator/index.ts';
import { isFenced, type PublishingDeps, Refresher } from '../publishing/index.ts';
import { createApp } from './app.ts';
import { bootstrap } from './bootstrap.ts';
import type { ServiceConfig } from './config.ts';
import { type Closing, openDatabases } from './databases.ts';
import { StartError } from './errors.ts';
import { openOnlineKeys } from './keys.ts';
import { listen, stopListening } from './listen.ts';
import { runLoops } from './loops.ts';
import { openLog } from './log.ts';
import { createMetrics } from './metrics.ts';
import { periodicTasks } from './periodic.ts';
import { readiness } from './readiness.ts';
import { claimState } from './running.ts';
import { serverCertificate } from './tls.ts';

export interface RunningService {
  /** What people on this machine call it. */
  url: string;
  organisation: string;
  /** Resolves when it has stopped: with nothing after `stop`, with the error when it ended by itself. */
  ended: Promise<Error | undefined>;
  /** Lets requests under way finish, then closes everything in the reverse order of its start. */
  stop(): Promise<void>;
}

/** Requests under way get this long at a stop. */
const GRACE_MS = 5_000;

/**
 * Starts the service and resolves when it is ready.
 * @param signal ends the start before it is done: at the next step, with the signal's reason.
 * @throws StartError, StoreError, DatabaseError, KeyError, AuthorityError; whatever was started by then is stopped again.
 */
export async function startService(
  config: ServiceConfig,
  log: Logger = openLog(config.logFile),
  signal: AbortSignal = new AbortController().signal,
): Promise<RunningService> {
  const closing: Closing = [];
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= closeAll(closing, log));
  const { promise: ended, resolve: end } = Promise.withResolvers<Error | undefined>();
  const fail = (error: Error): void => {
    log.fatal({ err: error }, 'The service ends.');
    void stop().then(() => end(error));
  };
  try {
    const port = await compose(config, log, closing, fail, signal);
    const url = `https://localhost:${port}`;
    log.info({ url, organisation: config.organisation }, 'Ready.');
    return { url, organisation: config.organisation, ended, stop: () => stop().then(() => end(undefined)) };
  } catch (error) {
    await stop();
    // What failed because it was cut short is no failure.
    signal.throwIfAborted();
    throw error;
  }
}

/** The composition root: the one place that knows every room. Returns the port. */
async function compose(
  config: ServiceConfig,
  log: Logger,
  closing: Closing,
  fail: (error: Error) => void,
  signal: AbortSignal,
): Promise<number> {
  const { organisation, folder } = config;
  const clock = openClock(config, log);
  const metrics = createMetrics();
  const front = createApp(log, metrics);

  // The folder first, then the port: a second service on either is refused before it touches anything.
  const claim = await claimState(folder);
  closing.push(() => claim.release());
  const authority = await DeviceAuthority.open(join(folder, 'ca'), systemClock);
  let certificates: Facts['certificates'] = [];
  const tls = async () => {
    const own = await serverCertificate(join(folder, 'tls'), authority, systemClock.now());
    certificates = certificateFacts({ service: own.cert, ca: authority.certificate });
    return { ...own, ca: authority.certificate };
  };
  const { server, port } = await listen(front.app, await tls(), config.port);
  const stopServing = (): Promise<void> => stopListening(server, GRACE_MS);
  closing.push(stopServing);
  await claim.listensOn(port);
  signal.throwIfAborted();

  const opening = openOnlineKeys(join(folder, 'online'));
  // A key that does not open is told below, once the databases are open and can be closed.
  opening.catch(() => undefined);
  const { db, doorbell } = await openDatabases(config, log, closing, fail, signal);
  const keys = await opening;
  signal.throwIfAborted();
  const blobs = await openBlobs(config, closing);
  signal.throwIfAborted();
  const store = new PgRolloutStore(db, clock);
  const staging = join(folder, 'staging');
  const publishing: PublishingDeps = { organisation, db, blobs, staging, keys, clock };
  await bootstrap(config, publishing, authority, log);
  const refresher = new Refresher(publishing, log);
  await refresher.run();
  signal.throwIfAborted();

  const { director } = keys;
  const report = (error: unknown): void => log.error({ err: error }, 'Something failed behind a request.');
  const device = {
    organisation,
    db,
    clock,
    wall: systemClock,
    director,
    authority,
    blobs,
    doorbell,
    report,
    log,
  };
  const factsDeps: FactsDeps = {
    db,
    blobs,
    clock,
    wall: systemClock,
    certificates: () => certificates,
    refreshFailure: () => refresher.failure,
  };
  const facts = factsOf(factsDeps);
  const now = () => ({ fleet: clock.now(), wall: systemClock.now() });
  const alarms = async (of = organisation) => alarmsOf(await facts(of), now());
  const lifetimes = rolloutLifetimes(factsDeps);
  metrics.watch({
    db,
    lifetimes: { facts: () => facts(organisation), now, refreshFailures: () => refresher.failures },
  });
  front.open({
    db,
    readiness: () =>
      readiness({
        db,
        doorbell,
        organisation,
        director: director.keyId,
        clock,
        alarms,
        fenced: () => isFenced(publishing),
      }),
    device: deviceRouter(device),
    operator: operatorRouter({ db, store, doorbell, clock, publishing, alarms, lifetimes }),
  });

  const shell = { store, doorbell, lifetimes, clock, log };
  await doorbell.listen((ref: RolloutRef) => metrics.working(() => work(ref, shell)));
  const abort = new AbortController();
  const renewCertificate = async (): Promise<void> => server.setSecureContext(await tls());
  const logOf = alarmLog(log);
  const logAlarms = async (): Promise<void> => logOf(await alarms());
  const own = { organisation, db, clock, shell, publishing };
  const tasks = periodicTasks({ ...own, refresher, renewCertificate, logAlarms });
  const loops = runLoops(tasks, clock, abort.signal, log);
  closing.push(() => {
    abort.abort();
    return loops;
  });
  // Stopped first of all, so that no request meets a closed database.
  closing.push(stopServing);
  return port;
}

/** Uploads wait on this machine's disk either way; only what is published goes to the store. */
async function openBlobs({ store, folder }: ServiceConfig, closing: Closing): Promise<BlobStore> {
  if (store === undefined) return fileBlobs(join(folder, 'tuf'));
  const { blobs, close } = await openS3(store);
  closing.push(() => Promise.resolve(close()));
  return blobs;
}

function openClock(config: ServiceConfig, log: Logger): Clock {
  if (config.fleetClock === undefined) return systemClock;
  log.warn({ file: config.fleetClock }, 'The fleet lives on a clock of its own: for development and drills.');
  try {
    return fleetClock(config.fleetClock);
  } catch (cause) {
    const detail = `TIDEGATE_FLEET_CLOCK: ${config.fleetClock} is no clock.`;
    throw new StartError('CONFIG_INVALID', detail, { cause });
  }
}

async function closeAll(closing: Closing, log: Logger): Promise<void> {
  for (const close of closing.toReversed()) {
    await close().catch((error: unknown) => log.error({ err: error }, 'Something did not close.'));
  }
}
