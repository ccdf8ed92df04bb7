import type { ErrorRequestHandler, RequestHandler, Response } from 'express';
import { REFUSALS, Refusal } from '@tidegate/client-sdk/protocol';
import { BlobError } from '@tidegate/signer/repository';
import { API_ERRORS, ApiError, type FieldProblem } from './api-error.ts';

/** RFC 9457 problem details, with our own `code`. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  pointer?: string;
  problems?: FieldProblem[];
}

/** Seconds until a store that was away is asked again. */
const STORE_RETRY_AFTER = 30;

/** What the caller is told about an error. Only errors made for callers say more than "the service failed". */
export function problemOf(thrown: unknown): Problem {
  const error = forCallers(thrown);
  if (error instanceof ApiError) {
    return {
      ...error.members,
      ...problem(error.code, API_ERRORS[error.code].advice, error.status, error.detail),
      ...(error.pointer === undefined ? {} : { pointer: error.pointer }),
      ...(error.problems === undefined ? {} : { problems: error.problems }),
    };
  }
  if (error instanceof Refusal) return problem(error.code, REFUSALS[error.code], 422, error.detail);
  return problem('INTERNAL', API_ERRORS.INTERNAL.advice, 500, 'An unexpected error.');
}

/** What libraries and ports throw, in the words of the API. */
function forCallers(error: unknown): unknown {
  if (isUriError(error)) return new ApiError('NOT_FOUND', 'The path is not well-formed.');
  if (error instanceof BlobError && error.code === 'BLOB_UNAVAILABLE') {
    const headers = { 'Retry-After': String(STORE_RETRY_AFTER) };
    return new ApiError('STORE_UNAVAILABLE', error.message, { cause: error, headers });
  }
  return error;
}

function problem(code: string, title: string, status: number, detail: string): Problem {
  return { type: `urn:tidegate:problem:${code}`, title, status, detail, code };
}

/** Express decodes path parameters itself and throws a URIError with status 400 on a stray `%`. */
function isUriError(error: unknown): boolean {
  return error instanceof URIError;
}

export function sendProblem(response: Response, thrown: unknown): void {
  const error = forCallers(thrown);
  const body = problemOf(error);
  if (error instanceof ApiError) response.set(error.headers);
  // Whatever headers the handler meant for its own answer must not make caches keep the refusal.
  response.set('Cache-Control', 'no-store').removeHeader('ETag');
  response.status(body.status).type('application/problem+json').send(JSON.stringify(body));
}

/**
 * The last middleware of the service: turns whatever was thrown into a problem.
 * @param report is told of errors that are the service's own fault; they are not shown to the caller.
 */
export function problemHandler(report: (error: unknown) => void): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (isReported(error)) report(error);
    if (response.headersSent) {
      // Too late to say anything: cut the connection, so that half an answer is not taken for a whole one.
      next(error);
      return;
    }
    // Unread bytes of a refused body would be taken for the next request of the connection.
    if (!request.complete) response.set('Connection', 'close');
    sendProblem(response, error);
  };
}

/** What the service can do nothing about at the moment, and says by an alarm, is not told once for each charger as well. */
function isReported(error: unknown): boolean {
  const { status, code } = problemOf(error);
  return status >= 500 && code !== 'REPOSITORY_BEHIND';
}

/** Answers whatever no router knew. */
export const notFound: RequestHandler = (request) => {
  throw new ApiError('NOT_FOUND', `${request.method} ${request.path.slice(0, 200)}`);
};
