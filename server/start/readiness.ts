import { sql } from 'kysely';
import type { Clock } from '@tidegate/client-sdk/protocol';
import type { QueueDoorbell } from '@tidegate/rollout/shell';
import type { Db } from '../db/index.ts';
import type { Alarm } from '../alarms/index.ts';

/** What the service cannot work without, each by name. */
export interface Readiness {
  ready: boolean;
  checks: Record<'database' | 'queue' | 'repository', { ok: boolean; detail: string }>;
}

const PATIENCE_MS = 3_000;
const MOST_WARNINGS = 10;

/** Asks each for real. Details are for whoever runs the service; they hold no addresses and no secrets. */
export async function readiness(deps: {
  db: Db;
  doorbell: QueueDoorbell;
  organisation: string;
  /** Key id of the director whose directives this service signs. */
  director: string;
  clock: Clock;
  alarms: () => Promise<Alarm[]>;
  /** Whether another service has written into the store. */
  fenced: () => Promise<boolean>;
}): Promise<Readiness> {
  const [database, queue, repository] = await Promise.all([
    check('does not answer', async () => {
      await sql`select 1`.execute(deps.db);
      return 'answers';
    }),
    check('does not answer', async () => {
      await deps.doorbell.check();
      return 'answers';
    }),
    check('cannot be read', () => repositoryState(deps)),
  ]);
  const checks = { database, queue, repository };
  return { ready: Object.values(checks).every(({ ok }) => ok), checks };
}

async function repositoryState({
  db,
  organisation,
  director,
  clock,
  alarms,
  fenced,
}: Parameters<typeof readiness>[0]): Promise<string> {
  const row = await db
    .selectFrom('repository')
    .select(['timestamp_expires_at', 'policy'])
    .where('organisation', '=', organisation)
    .executeTakeFirst();
  if (row === undefined) throw new NotReady('nothing is published yet');
  const directors = row.policy.directors[organisation]?.keys ?? [];
  if (!directors.some(({ keyId, state }) => keyId === director && state === 'active')) {
    throw new NotReady("the policy does not name this service's director key: no charger does what it says");
  }
  if (row.timestamp_expires_at.getTime() <= clock.now()) throw new NotReady('timestamp.json has expired');
  const all = await alarms();
  const behind = all.filter(({ code }) => code === 'REPOSITORY_BEHIND');
  if (behind.length > 0) throw new NotReady(behind.map(({ sentence }) => sentence).join(' '));
  if (await fenced()) {
    throw new NotReady(
      'REPOSITORY_FENCED: another service, with another database, has written into the store',
    );
  }
  // Other products go on: this is a warning, and no reason to take the service away from them.
  const expired = all.filter(({ code }) => code === 'ROLE_EXPIRED').map(({ subject }) => subject);
  const warnings = [
    ...(expired.length === 0 ? [] : [`expired, to be signed again by people: ${expired.join(', ')}`]),
    ...all.filter(({ code }) => code !== 'ROLE_EXPIRED').map(({ code, subject }) => `${code}: ${subject}`),
  ];
  // Bounded: the whole list is at `GET /alarms`.
  const shown = warnings.slice(0, MOST_WARNINGS).map((warning) => `; ${warning}`);
  return `timestamp.json is valid until ${row.timestamp_expires_at.toISOString()}${shown.join('')}`;
}

class NotReady extends Error {}

async function check(failure: string, ask: () => Promise<string>): Promise<{ ok: boolean; detail: string }> {
  let timer: NodeJS.Timeout | undefined;
  const impatience = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NotReady(`${failure} within ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
  });
  try {
    return { ok: true, detail: await Promise.race([ask(), impatience]) };
  } catch (error) {
    return { ok: false, detail: error instanceof NotReady ? error.message : failure };
  } finally {
    clearTimeout(timer);
  }
}
