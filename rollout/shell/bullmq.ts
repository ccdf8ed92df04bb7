import type { PgPool, Queue, Worker } from 'bullmq';
import type { Pool } from 'pg';
import type { Log } from './log.ts';
import type { Doorbell, RolloutRef } from './ports.ts';

/**
 * Doorbells on BullMQ. A job says which rollout to look at, and nothing else.
 *
 * Jobs of one rollout are one: a ring while one waits is dropped, a ring while one is worked on is kept and worked on after it
 * (`keepLastIfActive`). BullMQ's delayed and repeated jobs are not used; times are in the database.
 */
const QUEUE = 'rollouts';
/** BullMQ's own name for its schema: with a pool of ours it takes no other. */
const SCHEMA = 'bullmq';
/** Braces keep all keys in one slot of a Redis cluster. */
const PREFIX = '{tidegate}';

const CONCURRENCY = 4;
/** A worker that was killed is found out after this long, and its job goes to another. Short, because doubled work is harmless. */
const LOCK_MS = 5_000;
const STALLED_MS = 2_500;
/** After an error the rollout is rung again this much later, without the queue's help. */
const AGAIN_MS = 1_000;

const JOB_OPTIONS = { removeOnComplete: true, removeOnFail: true } as const;
const WORKER_OPTIONS = {
  concurrency: CONCURRENCY,
  lockDuration: LOCK_MS,
  stalledInterval: STALLED_MS,
  // A job may be found stalled as often as workers are killed.
  maxStalledCount: 1_000_000,
} as const;

/** Work under way gets this long at a close; a queue that is away would otherwise be waited for without end. */
const CLOSE_MS = 3_000;

type Processor = (job: { data: RolloutRef }) => Promise<void>;

/** A doorbell whose queue can be asked whether it answers. */
export interface QueueDoorbell extends Doorbell {
  /** Rejects when the queue does not answer. */
  check(): Promise<void>;
}

interface Backend {
  queue: Queue<RolloutRef>;
  worker(processor: Processor): Worker<RolloutRef>;
  end(): Promise<void>;
}

/** On the same PostgreSQL as everything else, in a schema of its own. Migrates it. */
export async function postgresDoorbell(url: string, log: Log): Promise<QueueDoorbell> {
  const { createPostgresBackend, runMigrations, withBackend } = await import('bullmq');
  const pool = await openPool(url, log);
  const client = await pool.connect();
  try {
    await runMigrations(client, SCHEMA);
  } finally {
    client.release();
  }
  // BullMQ declares the part of a pool that it uses in its own words.
  const connection = pool as unknown as PgPool;
  const bull = withBackend(createPostgresBackend);
  return doorbell(log, {
    queue: new bull.Queue<RolloutRef>(QUEUE, { connection }) as unknown as Queue<RolloutRef>,
    worker: (processor) =>
      new bull.Worker<RolloutRef>(QUEUE, processor, {
        connection,
        ...WORKER_OPTIONS,
      }) as unknown as Worker<RolloutRef>,
    end: () => pool.end(),
  });
}

/** The listener keeps one connection for itself. */
async function openPool(url: string, log: Log): Promise<Pool> {
  const { Pool: PgPool } = await import('pg');
  const pool = new PgPool({
    connectionString: url,
    max: CONCURRENCY + 4,
    options: `-c search_path=${SCHEMA}`,
    application_name: 'tidegate-queue',
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
  });
  const warn = (error: Error): void => log.warn({ err: error }, 'The queue lost a database connection.');
  pool.on('error', warn);
  // An error on a connection that is lent out would otherwise end the process.
  pool.on('connect', (client) => client.on('error', warn));
  return pool;
}

/** A Redis that is not ready within this is away. */
const CONNECT_MS = 5_000;

/**
 * On Redis or Valkey. Rejects when it does not answer in time or `signal` is aborted, and then leaves nothing open.
 */
export async function redisDoorbell(url: string, log: Log, signal?: AbortSignal): Promise<QueueDoorbell> {
  const { Queue: RedisQueue, Worker: RedisWorker } = await import('bullmq');
  const { Redis } = await import('ioredis');
  // A ring fails at once while Redis is away, instead of holding up the request that rings; the sweeper makes up for it.
  const ringer = new Redis(url, { maxRetriesPerRequest: 1, enableOfflineQueue: false, lazyConnect: true });
  const listener = new Redis(url, { maxRetriesPerRequest: null, lazyConnect: true });
  for (const redis of [ringer, listener]) redis.on('error', (error) => log.warn({ err: error }, 'Redis'));
  // Without it both would try again for ever, and keep the process.
  const end = (): void => {
    ringer.disconnect();
    listener.disconnect();
  };
  const timeout = AbortSignal.timeout(CONNECT_MS);
  const enough = signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
  enough.addEventListener('abort', end, { once: true });
  try {
    await ringer.connect();
    enough.removeEventListener('abort', end);
    return await doorbell(log, {
      queue: new RedisQueue<RolloutRef>(QUEUE, { connection: ringer, prefix: PREFIX }),
      worker: (processor) =>
        new RedisWorker<RolloutRef>(QUEUE, processor, {
          connection: listener,
          prefix: PREFIX,
          ...WORKER_OPTIONS,
        }),
      end: () => Promise.resolve(end()),
    });
  } catch (error) {
    end();
    throw error;
  }
}

async function doorbell(log: Log, backend: Backend): Promise<QueueDoorbell> {
  const { queue } = backend;
  queue.on('error', (error) => log.warn({ err: error }, 'The queue has a problem; the sweeper goes on.'));
  await queue.waitUntilReady();
  const workers: Worker<RolloutRef>[] = [];
  const again = new Set<NodeJS.Timeout>();

  const ring = async ({ organisation, id }: RolloutRef): Promise<void> => {
    try {
      const deduplication = { id: `${organisation}/${id}`, keepLastIfActive: true };
      await queue.add('look', { organisation, id }, { ...JOB_OPTIONS, deduplication });
    } catch (error) {
      log.warn({ err: error, organisation, rollout: id }, 'A ring was lost; the sweeper rings again.');
    }
  };

  return {
    ring,
    async check() {
      await queue.getWaitingCount();
    },
    async listen(answer) {
      const worker = backend.worker(async ({ data }) => {
        try {
          await answer(data);
        } catch (error) {
          log.error(
            { err: error, organisation: data.organisation, rollout: data.id },
            'Work on a rollout failed.',
          );
          const timer = setTimeout(() => {
            again.delete(timer);
            void ring(data);
          }, AGAIN_MS).unref();
          again.add(timer);
        }
      });
      worker.on('error', (error) => log.warn({ err: error }, 'The worker has a problem and tries again.'));
      workers.push(worker);
      await worker.waitUntilReady();
    },
    async close() {
      for (const timer of again) clearTimeout(timer);
      await within(CLOSE_MS, Promise.all([...workers.map((worker) => worker.close()), queue.close()]));
      await within(CLOSE_MS, backend.end());
    },
  };
}

/** Waits for `closing`, but not longer than `ms`; what is cut short is found stalled and done by the next process. */
async function within(ms: number, closing: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const impatience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([closing.catch(() => undefined), impatience]);
  clearTimeout(timer);
}
