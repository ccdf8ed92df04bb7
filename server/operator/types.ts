/** What the operator API needs. */
import type { Kysely } from 'kysely';
import type { Clock } from '@tidegate/client-sdk/protocol';
import type { Doorbell, Lifetimes, RolloutStore } from '@tidegate/rollout/shell';
import type { Alarm } from '../alarms/index.ts';
import type { Database } from '../db/schema.ts';
import type { PublishingDeps } from '../publishing/types.ts';

export interface OperatorDeps {
  db: Kysely<Database>;
  store: RolloutStore;
  doorbell: Doorbell;
  clock: Clock;
  /** Mounts uploads and publications beside the rest. */
  publishing: PublishingDeps;
  /** What expires or has stopped, of one organisation. */
  alarms: (organisation: string) => Promise<Alarm[]>;
  /** Warns of what will keep a rollout's next step from opening. */
  lifetimes: Lifetimes;
}
