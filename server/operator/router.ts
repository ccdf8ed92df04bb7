import { Router } from 'express';
import { z } from 'zod';
import { ApiError } from '../http/index.ts';
import { mountRoute } from './mount.ts';
import { openApi } from './openapi.ts';
import { defineRoute, type Route } from './route.ts';
import { alarmRoutes } from './routes/alarms.ts';
import { chargerRoutes } from './routes/chargers.ts';
import { fleetChangeRoutes } from './routes/fleet.ts';
import { peopleRoutes } from './routes/people.ts';
import { publishingRoutes } from './routes/publishing.ts';
import { releaseRoutes } from './routes/releases.ts';
import { rolloutRoutes } from './routes/rollouts.ts';
import { siteRoutes } from './routes/sites.ts';
import type { OperatorDeps } from './types.ts';

const described: Route[] = [
  ...peopleRoutes,
  ...siteRoutes,
  ...chargerRoutes,
  ...fleetChangeRoutes,
  ...releaseRoutes,
  ...rolloutRoutes,
  ...publishingRoutes,
  ...alarmRoutes,
];

/** The whole operator API. Whatever is not in this table does not exist. */
export const OPERATOR_ROUTES: readonly Route[] = [
  ...described,
  defineRoute({
    method: 'get',
    path: '/openapi.json',
    permission: 'read',
    summary: 'This description',
    answer: z.record(z.string(), z.unknown()),
    handle: () => Promise.resolve({ body: openApi(OPERATOR_ROUTES) }),
  }),
];

/** Mount it at `/operator/v1`. Errors go on to the app's `problemHandler`. */
export function operatorRouter(deps: OperatorDeps): Router {
  const router = Router({ caseSensitive: true, strict: true });
  for (const route of OPERATOR_ROUTES) mountRoute(router, route, deps);
  for (const path of new Set(OPERATOR_ROUTES.map((route) => route.path))) refuseOtherMethods(router, path);
  return router;
}

function refuseOtherMethods(router: Router, path: string): void {
  const methods = OPERATOR_ROUTES.filter((route) => route.path === path).map((route) => route.method);
  const allow = methods.join(', ').toUpperCase();
  router.all(path, (request) => {
    throw new ApiError('METHOD_NOT_ALLOWED', `${request.method}; allowed: ${allow}.`, {
      headers: { Allow: allow },
    });
  });
}
