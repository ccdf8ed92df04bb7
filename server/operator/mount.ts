/** Binds one route to Express: credential, permission, input, idempotency, then the handler. Anything thrown goes to the app's error handler. */
import type { Request, RequestHandler, Response, Router } from 'express';
import { jsonBody, parseFields, ApiError, requestSource } from '../http/index.ts';
import { operatorOf, requireOperator, requirePermission } from '../identity/index.ts';
import { claim, release, remember } from './idempotency.ts';
import type { Answer, Call, Route } from './route.ts';
import { reason } from './schemas.ts';
import type { OperatorDeps } from './types.ts';

const BODY_LIMIT = 256 * 1024;
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,200}$/;

export function mountRoute(router: Router, route: Route, deps: OperatorDeps): void {
  const chain: RequestHandler[] = [requireOperator(deps.db), permitted(route)];
  // Nothing of a body is read for somebody who may not send it.
  if (route.method === 'post') chain.push(jsonBody(route.bodyLimit ?? BODY_LIMIT));
  router[route.method](route.path, ...chain, async (request, response) => {
    const call = parseCall(route, deps, request, response);
    const before = await claim(call, request.originalUrl);
    if (before !== undefined) {
      response.status(before.status).json(before.body);
      return;
    }
    const answer = await handle(route, call);
    if (answer === undefined) return;
    const status = route.status ?? 200;
    await remember(call, { status, body: route.secret === true ? null : answer.body });
    send(response, status, answer);
  });
}

async function handle(
  route: Route,
  call: Call<unknown, unknown, unknown>,
): Promise<Answer<unknown> | undefined> {
  try {
    return await route.handle(call as Call<never, never, never>);
  } catch (error) {
    // What the caller is told is the refusal; a claim that stays behind runs out by itself.
    await release(call).catch(() => undefined);
    throw error;
  }
}

function permitted(route: Route): RequestHandler {
  return (_request, response, next) => {
    requirePermission(operatorOf(response), route.permission);
    next();
  };
}

function parseCall(
  route: Route,
  deps: OperatorDeps,
  request: Request,
  response: Response,
): Call<unknown, unknown, Record<string, unknown>> {
  const operator = operatorOf(response);
  const { why, body } = parseBody(route, request);
  return {
    deps,
    operator,
    actor: { actor: operator.name, reason: why, source: requestSource(request) },
    now: deps.clock.now(),
    params: route.params === undefined ? {} : parseParams(route, request),
    query: route.query === undefined ? refuseQuery(request) : parseQuery(route, request),
    body,
    ifMatch: request.get('if-match')?.replace(/^(?:W\/)?"(.*)"$/, '$1'),
    idempotencyKey: route.method === 'post' ? parseKey(request) : undefined,
    stream: request,
    response,
  };
}

/** Design §7: every mutation says why. */
function parseBody(route: Route, request: Request): { why: string; body: Record<string, unknown> } {
  if (route.method !== 'post') return { why: '', body: {} };
  const given: unknown = request.body;
  const schema = route.body;
  if (schema === undefined) return { why: '', body: {} };
  if (typeof given === 'object' && given !== null && !('reason' in given)) {
    throw new ApiError('REASON_REQUIRED', 'The body has no reason.', { pointer: '/reason' });
  }
  const { reason: why, ...body } = parseFields(schema.extend({ reason }), given) as {
    reason: string;
  } & Record<string, unknown>;
  return { why, body };
}

/** A name that cannot be one names nothing. */
function parseParams(route: Route, request: Request): unknown {
  const parsed = route.params?.safeParse(request.params);
  if (parsed?.success !== true) throw new ApiError('NOT_FOUND', 'The path holds no valid name.');
  return parsed.data;
}

function parseQuery(route: Route, request: Request): unknown {
  try {
    return route.query === undefined ? {} : parseFields(route.query, request.query);
  } catch (error) {
    if (!(error instanceof ApiError) || error.pointer === undefined) throw error;
    throw new ApiError('FIELD_INVALID', error.detail, { pointer: `?${error.pointer.slice(1)}` });
  }
}

/** A misspelt filter would otherwise list everything. */
function refuseQuery(request: Request): Record<string, never> {
  const [unknown] = Object.keys(request.query);
  if (unknown === undefined) return {};
  throw new ApiError('FIELD_INVALID', 'This request takes no parameters.', {
    pointer: `?${unknown.slice(0, 50)}`,
  });
}

function parseKey(request: Request): string | undefined {
  const key = request.get('idempotency-key');
  if (key === undefined || IDEMPOTENCY_KEY.test(key)) return key;
  throw new ApiError('FIELD_INVALID', 'Idempotency-Key: 1 to 200 visible ASCII characters.');
}

function send(response: Response, status: number, { body, etag }: Answer<unknown>): void {
  response.set('Cache-Control', 'no-store');
  if (etag !== undefined) response.set('ETag', `"${etag}"`);
  response.status(status).json(body);
}
