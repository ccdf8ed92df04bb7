import type { Request, RequestHandler } from 'express';
import type { z } from 'zod';
import { ApiError, type FieldProblem } from './api-error.ts';

/**
 * Reads a JSON body of at most `limit` bytes into `request.body`.
 *
 * Throws `CONTENT_TYPE`, `BODY_TOO_LARGE`, `BODY_TRUNCATED`, `BODY_MALFORMED`. A length that is announced too large is refused
 * before a byte is read; an unannounced one as soon as it is exceeded.
 */
export function jsonBody(limit: number): RequestHandler {
  return async (request, _response, next) => {
    await readJson(request, limit);
    next();
  };
}

/** The same within a handler that has something to check first. */
export async function readJson(request: Request, limit: number): Promise<void> {
  const body: unknown = parseJson(await readBody(request, limit));
  request.body = body;
}

async function readBody(request: Request, limit: number): Promise<Buffer> {
  if (request.is('application/json') === false) {
    throw new ApiError('CONTENT_TYPE', 'This request takes application/json.');
  }
  const encoding = request.headers['content-encoding'];
  // A compressed body could unpack to more than the limit.
  if (encoding !== undefined && encoding !== 'identity') {
    throw new ApiError('CONTENT_TYPE', 'This request takes a body without content encoding.');
  }
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge(limit);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > limit) throw tooLarge(limit);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError('BODY_TRUNCATED', 'The connection ended early.', { cause: error });
  }
  return Buffer.concat(chunks, length);
}

/**
 * Gives the memory of a chunk of a request's body back at once. Left to the garbage collector, chunks of a long body pile up by the ten
 * MiB, and the more the busier the machine is. A chunk that shares its memory with anything else is left alone.
 */
export function freeChunk(chunk: Buffer): void {
  const { buffer } = chunk;
  if (buffer instanceof ArrayBuffer && chunk.byteLength === buffer.byteLength) buffer.transfer(0);
}

function tooLarge(limit: number): ApiError {
  return new ApiError('BODY_TOO_LARGE', `At most ${limit} bytes are read.`);
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new ApiError('BODY_MALFORMED', 'The body does not parse as JSON.', { cause: error });
  }
}

/** Most problems that one answer lists. */
const MOST_PROBLEMS = 20;

/**
 * Checks a value against a schema.
 * @throws ApiError `FIELD_INVALID`, with a pointer to the first field at fault and all of them in `problems`.
 */
export function parseFields<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.slice(0, MOST_PROBLEMS).map(fieldProblem);
  const first = problems[0];
  throw new ApiError('FIELD_INVALID', `${first?.pointer || 'The body'}: ${first?.detail ?? 'invalid'}`, {
    ...(first === undefined ? {} : { pointer: first.pointer }),
    problems,
  });
}

function fieldProblem(issue: z.core.$ZodIssue): FieldProblem {
  return { pointer: pointerTo(issue.path), code: issue.code, detail: issue.message.slice(0, 300) };
}

/** JSON pointer. RFC 6901 §3 */
function pointerTo(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
