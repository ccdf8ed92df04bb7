import type { Clock } from '@tidegate/client-sdk/protocol';
import { sweep, type WorkDeps } from '@tidegate/rollout/shell';
import { type Db } from '../db/index.ts';
import { DEVICE_DEFAULTS, markSilent } from '../device/index.ts';
import { forgetKeys } from '../operator/index.ts';
import { type PublishingDeps, type Refresher, sweepClaims, sweepStaging } from '../publishing/index.ts';
import type { Loop } from './loops.ts';

const MINUTE_MS = 60_000;
/** A charger, its network and this machine get at least this long on the wall's clock, however fast the fleet's time runs. */
const LEAST_PATIENCE_MS = 10_000;
/** Polls that may be missed before a charger counts as silent. */
const MISSED_POLLS = 4;

/** What the service does by itself, on the fleet's clock. */
export function periodicTasks(deps: {
  organisation: string;
  db: Db;
  clock: Clock;
  shell: Pick<WorkDeps, 'store' | 'doorbell' | 'clock'>;
  publishing: PublishingDeps;
  refresher: Refresher;
  renewCertificate: () => Promise<void>;
  /** Writes into the log which alarms rise and clear. */
  logAlarms: () => Promise<void>;
}): Loop[] {
  return [
    { name: 'sweep', everyMs: 1_000, run: () => sweep(deps.shell) },
    { name: 'silence', everyMs: MINUTE_MS, run: silence(deps) },
    { name: 'refresh', everyMs: MINUTE_MS, run: () => deps.refresher.run() },
    { name: 'alarms', everyMs: 5 * MINUTE_MS, run: deps.logAlarms },
    { name: 'staging', everyMs: 60 * MINUTE_MS, run: () => sweepStaging(deps.publishing) },
    {
      name: 'keys',
      everyMs: 60 * MINUTE_MS,
      run: () => forgetKeys(deps.db, deps.organisation, deps.clock.now()),
    },
    {
      name: 'claims',
      everyMs: 60 * MINUTE_MS,
      run: () => sweepClaims(deps.db, deps.organisation, deps.clock.now()),
    },
    { name: 'tls', everyMs: 12 * 60 * MINUTE_MS, run: deps.renewCertificate },
  ];
}

function silence(deps: Parameters<typeof periodicTasks>[0]): () => Promise<void> {
  const { organisation, db, clock, shell } = deps;
  const upSince = clock.now();
  let last = { wall: Date.now(), fleet: upSince };
  return async () => {
    const here = { wall: Date.now(), fleet: clock.now() };
    const speed = (here.fleet - last.fleet) / Math.max(1, here.wall - last.wall);
    last = here;
    const leastMissed = (LEAST_PATIENCE_MS * speed) / (DEVICE_DEFAULTS.idlePollSeconds * 1000);
    const missed = Math.max(MISSED_POLLS, Math.ceil(leastMissed));
    const { changed } = await markSilent(db, here.fleet, { organisation, upSince, missed });
    for (const ref of changed) await shell.doorbell.ring(ref);
  };
}
