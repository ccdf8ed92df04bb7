import express, { type Express, type Request, type RequestHandler, type Router } from 'express';
import type { Logger } from 'pino';
import type { Db } from '../db/index.ts';
import { ApiError, notFound, problemHandler } from '../http/index.ts';
import { authenticateOperator } from '../identity/index.ts';
import type { Metrics } from './metrics.ts';
import type { Readiness } from './readiness.ts';

/** What answers once the service is up. */
export interface Rooms {
  db: Db;
  readiness: () => Promise<Readiness>;
  /** Below `/device/v1` and `/tuf`. */
  device: Router;
  /** Below `/operator/v1`. */
  operator: Router;
}

/**
 * The whole HTTP side. It listens from the first moment, so that a port in use is found before anything else is done; until `open`
 * is called it says that it is starting.
 */
export function createApp(log: Logger, metrics: Metrics): { app: Express; open(rooms: Rooms): void } {
  let rooms: Rooms | undefined;
  const up = (): Rooms => {
    if (rooms !== undefined) return rooms;
    throw new ApiError('UNAVAILABLE', 'The service is starting.', { headers: { 'Retry-After': '1' } });
  };
  // Routers are reached through a call, because they exist only once the service is up.
  const room =
    (name: 'device' | 'operator'): RequestHandler =>
    (request, response, next) =>
      up()[name](request, response, next);

  const app = express();
  app.disable('x-powered-by').set('etag', false).set('query parser', 'simple');
  app.use(metrics.observe, securityHeaders);
  app.get('/healthz', (_request, response) => {
    response.json({ alive: true });
  });
  app.get('/readyz', async (_request, response) => {
    const state = await (rooms?.readiness() ?? STARTING);
    response.status(state.ready ? 200 : 503).json(state);
  });
  app.get('/metrics', async (request, response) => {
    await mayReadMetrics(request, up().db);
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  app.use('/operator/v1', room('operator'));
  app.use(room('device'));
  app.use(notFound);
  app.use(problemHandler((error) => log.error({ err: error }, 'A request failed.')));
  return {
    app,
    open: (opened) => {
      rooms = opened;
    },
  };
}

const STARTING = { ready: false, checks: {}, detail: 'starting' };

const securityHeaders: RequestHandler = (_request, response, next) => {
  response.set({
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  });
  next();
};

const LOOPBACK = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1']);

/** Figures tell about the fleet: from this machine they are free, from elsewhere they take an operator's credential. */
async function mayReadMetrics(request: Request, db: Db): Promise<void> {
  if (LOOPBACK.has(request.socket.remoteAddress ?? '')) return;
  await authenticateOperator(db, request.headers.authorization);
}
