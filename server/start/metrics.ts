import type { RequestHandler } from 'express';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Db } from '../db/index.ts';
import { type LifetimeSources, watchLifetimes } from './lifetime-metrics.ts';

/** First part of the path, so that the number of series is fixed whatever is asked for. */
const AREAS = ['device', 'tuf', 'operator', 'healthz', 'readyz', 'metrics'];

export interface Sources {
  db: Db;
  lifetimes: LifetimeSources;
}

export interface Metrics {
  registry: Registry;
  /** Counts and times every request. */
  observe: RequestHandler;
  /** Runs one look at a rollout and counts how it went. */
  working(look: () => Promise<void>): Promise<void>;
  /** Adds the figures that are read when somebody asks. */
  watch(sources: Sources): void;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const seconds = new Histogram({
    name: 'tidegate_http_request_seconds',
    help: 'Time to answer requests',
    labelNames: ['area', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30],
    registers: [registry],
  });
  const work = new Counter({
    name: 'tidegate_rollout_work_total',
    help: 'Times a rollout was looked at',
    labelNames: ['outcome'],
    registers: [registry],
  });
  return {
    registry,
    observe(request, response, next) {
      const area = AREAS.find((name) => request.path.split('/')[1] === name) ?? 'other';
      const end = seconds.startTimer({ area });
      response.once('close', () => end({ status: `${Math.floor(response.statusCode / 100)}xx` }));
      next();
    },
    async working(look) {
      try {
        await look();
        work.inc({ outcome: 'done' });
      } catch (error) {
        work.inc({ outcome: 'failed' });
        throw error;
      }
    },
    watch: (sources) => watchSources(registry, sources),
  };
}

function watchSources(registry: Registry, { db, lifetimes }: Sources): void {
  const rollouts: Gauge = new Gauge({
    name: 'tidegate_rollouts',
    help: 'Rollouts by status',
    labelNames: ['status'],
    registers: [registry],
    async collect() {
      const rows = await db
        .selectFrom('rollouts')
        .select((eb) => ['status', eb.fn.countAll<number>().as('n')])
        .groupBy('status')
        .execute();
      rollouts.reset();
      for (const { status, n } of rows) rollouts.set({ status }, n);
    },
  });
  const pending: Gauge = new Gauge({
    name: 'tidegate_outbox_pending',
    help: 'Effects that are committed and not carried out yet',
    registers: [registry],
    async collect() {
      const { n } = await db
        .selectFrom('outbox')
        .select((eb) => eb.fn.countAll<number>().as('n'))
        .where('done_at', 'is', null)
        .executeTakeFirstOrThrow();
      pending.set(n);
    },
  });
  watchLifetimes(registry, lifetimes);
}
