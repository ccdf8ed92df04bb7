/** One route of the operator API: what it needs, takes and answers. Validation, permissions and OpenAPI are all made from this. */
import type { Readable } from 'node:stream';
import type { Response } from 'express';
import type { z } from 'zod';
import type { Actor, Operator, Permission } from '../identity/index.ts';
import type { OperatorDeps } from './types.ts';

type Shape = z.ZodObject;

export interface Call<P, Q, B> {
  deps: OperatorDeps;
  /** Who calls, by their credential alone. */
  operator: Operator;
  /** The same for the audit log, with the request's `reason`. */
  actor: Actor;
  /** Milliseconds since the epoch, of the fleet's clock. */
  now: number;
  params: P;
  query: Q;
  body: B;
  /** `If-Match` without its quotes. */
  ifMatch: string | undefined;
  idempotencyKey: string | undefined;
  /** The request's bytes, with `stream`. */
  stream: Readable;
  /** For routes that answer by themselves; see `live`. */
  response: Response;
}

export interface Answer<A> {
  body: A;
  /** Without quotes. */
  etag?: string;
}

export interface Route {
  method: 'get' | 'post' | 'put';
  /** Below `/operator/v1`, in Express's notation: `/sites/:id`. */
  path: string;
  /** What the caller must be allowed to do. */
  permission: Permission;
  summary: string;
  params?: Shape;
  query?: Shape;
  /** Of a POST; `reason` is added to it. */
  body?: Shape;
  answer: z.ZodType;
  /** Default 200. */
  status?: number;
  /** Longest body, in bytes. Default 256 KiB. */
  bodyLimit?: number;
  /** The answer holds a secret that is shown once: it is not kept for a repeated `Idempotency-Key`. */
  secret?: boolean;
  /** The body is a file, which is not read before the handler asks for it. */
  stream?: boolean;
  /** The handler writes the answer itself, as server-sent events. */
  live?: boolean;
  handle(call: Call<never, never, never>): Promise<Answer<unknown> | undefined>;
}

type Parsed<S> = S extends z.ZodType ? z.output<S> : Record<string, never>;

/** Ties the handler's types to the schemas. */
export function defineRoute<
  A extends z.ZodType,
  P extends Shape | undefined = undefined,
  Q extends Shape | undefined = undefined,
  B extends Shape | undefined = undefined,
>(
  route: Omit<Route, 'params' | 'query' | 'body' | 'answer' | 'handle'> & {
    params?: P;
    query?: Q;
    body?: B;
    answer: A;
    handle(call: Call<Parsed<P>, Parsed<Q>, Parsed<B>>): Promise<Answer<z.input<A>> | undefined>;
  },
): Route {
  return route as unknown as Route;
}
