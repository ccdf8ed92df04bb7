import type { Clock } from '@tidegate/client-sdk/protocol';
import type { Doorbell, Log } from '@tidegate/rollout/shell';
import type { Signer } from '@tidegate/signer/keys';
import type { BlobStore } from '@tidegate/signer/repository';
import type { Db } from '../db/index.ts';
import type { DeviceAuthority } from '../identity/index.ts';

/** What the device API needs. */
export interface DeviceDeps {
  /** The organisation whose chargers, director and repository this service holds. Chargers of another are unknown here. */
  organisation: string;
  db: Db;
  /** The fleet's clock: directives, reports, deadlines, tokens. */
  clock: Clock;
  /** The wall's clock: certificates, and how often somebody may try. */
  wall: Clock;
  /** Online director key, Ed25519. */
  director: Signer;
  authority: DeviceAuthority;
  /** Keys as in `PublishingDeps.blobs`. */
  blobs: BlobStore;
  doorbell: Pick<Doorbell, 'ring'>;
  /** Told of errors that no caller sees, e.g. a ring that failed. */
  report: (error: unknown) => void;
  /** Told of what chargers claim and the service does not believe. */
  log?: Pick<Log, 'warn'>;
  config?: Partial<DeviceConfig>;
}

export interface DeviceConfig {
  /** `pollAfter` when nothing is wanted of a charger, in seconds of the fleet's time. */
  idlePollSeconds: number;
  /** `pollAfter` while an assignment is in progress. */
  busyPollSeconds: number;
  /** Life of a confirmation (`activate`), in seconds of the fleet's time; every other directive lives `DIRECTIVE_MAX_SECONDS`. */
  activateSeconds: number;
  /** Most check-ins in one transaction, and most that wait for one. */
  batch: number;
  queue: number;
  /** Rings for one rollout are this far apart at least, in ms of the wall's time. */
  ringEveryMs: number;
  /** Refused enrolments of one address within a minute of the wall's time before it has to wait. */
  enrolFailuresPerMinute: number;
}

export const DEVICE_DEFAULTS: DeviceConfig = {
  idlePollSeconds: 900,
  busyPollSeconds: 120,
  activateSeconds: 6 * 60 * 60,
  batch: 64,
  queue: 4_096,
  ringEveryMs: 200,
  enrolFailuresPerMinute: 20,
};

export function deviceConfig(deps: DeviceDeps): DeviceConfig {
  return { ...DEVICE_DEFAULTS, ...deps.config };
}
