/** The operator API as the commands call it: HTTPS with the credential's CA and no other. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CommandError, EXIT, type ExitCode, problemsOf } from './context.ts';
import type { Credential } from './credential.ts';

/** Longest JSON answer that is read, in bytes. */
const ANSWER_LIMIT = 64 * 1024 * 1024;
const BASE = '/operator/v1';

export type Query = Record<string, string | number | undefined>;

export interface ServiceClient {
  get<T>(path: string, query?: Query): Promise<T>;
  post<T>(path: string, body: unknown): Promise<T>;
  /** Sends a stream of known length. */
  put<T>(path: string, body: Readable, length: number): Promise<T>;
  /** Events of a `text/event-stream`, until the service or `signal` ends it. */
  events(path: string, signal?: AbortSignal): AsyncGenerator<{ event: string; data: unknown }>;
  close(): void;
}

/**
 * Every method throws CommandError: exit code 3 `SERVICE_UNREACHABLE` when nobody answers, 1 with the service's code when it refuses.
 */
export function serviceClient(credential: Credential): ServiceClient {
  const agent = new Agent({ ca: credential.ca, keepAlive: true });

  async function call(
    method: string,
    path: string,
    options: { query?: Query; headers?: Record<string, string | number>; body?: Readable | string } = {},
  ): Promise<IncomingMessage> {
    const url = new URL(BASE + path, credential.service);
    for (const [key, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    const answer = await send(url, agent, method, {
      ...options,
      headers: { authorization: `Bearer ${credential.credential}`, ...options.headers },
    });
    if ((answer.statusCode ?? 500) >= 400) throw problemError(answer, await readAll(answer));
    return answer;
  }

  return {
    get: async <T>(path: string, query?: Query) =>
      json<T>(await call('GET', path, query === undefined ? {} : { query })),
    post: async <T>(path: string, body: unknown) =>
      json<T>(
        await call('POST', path, {
          body: JSON.stringify(body),
          // One key for one command: a proxy that repeats the request repeats nothing else.
          headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() },
        }),
      ),
    put: async <T>(path: string, body: Readable, length: number) =>
      json<T>(
        await call('PUT', path, {
          body,
          headers: { 'content-type': 'application/octet-stream', 'content-length': length },
        }),
      ),
    events: async function* (path, signal) {
      const answer = await call('GET', path, { headers: { accept: 'text/event-stream' } });
      signal?.addEventListener('abort', () => answer.destroy(), { once: true });
      yield* parseEvents(answer);
    },
    close: () => agent.destroy(),
  };
}

function send(
  url: URL,
  agent: Agent,
  method: string,
  options: { headers: Record<string, string | number>; body?: Readable | string },
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent, method, headers: options.headers }, resolve);
    outgoing.on('error', (error) => reject(unreachable(url, error)));
    if (options.body === undefined || typeof options.body === 'string') {
      outgoing.end(options.body);
    } else {
      // A service that refuses early closes the connection while we still write; its answer counts, not the broken pipe.
      pipeline(options.body, outgoing).catch((error: unknown) => {
        if (outgoing.destroyed) return;
        reject(unreachable(url, error));
      });
    }
  });
}

function unreachable(url: URL, cause: unknown): CommandError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new CommandError(
    EXIT.unreachable,
    'SERVICE_UNREACHABLE',
    `${url.origin} does not answer (${why}). Check that "tidegate start" runs, then try again.`,
    { cause },
  );
}

async function json<T>(answer: IncomingMessage): Promise<T> {
  return JSON.parse((await readAll(answer)).toString('utf8')) as T;
}

async function readAll(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > ANSWER_LIMIT) {
        throw new CommandError(EXIT.failed, 'ANSWER_TOO_LARGE', 'The answer of the service is too long.');
      }
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(
      EXIT.unreachable,
      'SERVICE_UNREACHABLE',
      'The service ended the connection before its answer was complete. Try again.',
      { cause: error },
    );
  }
  return Buffer.concat(chunks);
}

/** An RFC 9457 problem as an error; whatever else answered is named by its status. */
function problemError(answer: IncomingMessage, body: Buffer): CommandError {
  const status = answer.statusCode ?? 500;
  const problem = parseProblem(body);
  const code = typeof problem['code'] === 'string' ? problem['code'] : `HTTP_${status}`;
  return new CommandError(exitOf(status, code), code, sentenceOf(problem, status), { problem });
}

function exitOf(status: number, code: string): ExitCode {
  // 503: it is there, but cannot work now.
  if (status === 502 || status === 503 || status === 504) return EXIT.unreachable;
  // What a person typed reaches the service as a field of the request.
  return code === 'FIELD_INVALID' || code === 'REASON_REQUIRED' ? EXIT.usage : EXIT.failed;
}

/** What happened, then what to do: `detail` and `title` of the problem. A detail that the problems below repeat is left to them. */
function sentenceOf({ detail, title, problems }: Record<string, unknown>, status: number): string {
  const advice = typeof title === 'string' ? title : '';
  if (typeof detail !== 'string' || detail === '') return advice || `The service answered ${status}.`;
  const [first] = problemsOf(problems);
  if (advice !== '' && first?.detail !== undefined && detail.endsWith(first.detail)) return advice;
  const happened = /[.!?]$/.test(detail) ? detail : `${detail}.`;
  return `${happened} ${advice}`.trimEnd();
}

function parseProblem(body: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** The part of https://html.spec.whatwg.org/multipage/server-sent-events.html that the service uses. */
async function* parseEvents(answer: IncomingMessage): AsyncGenerator<{ event: string; data: unknown }> {
  let buffer = '';
  answer.setEncoding('utf8');
  try {
    for await (const chunk of answer as AsyncIterable<string>) {
      buffer += chunk;
      for (let end = buffer.indexOf('\n\n'); end >= 0; end = buffer.indexOf('\n\n')) {
        const parsed = parseEvent(buffer.slice(0, end));
        buffer = buffer.slice(end + 2);
        if (parsed !== undefined) yield parsed;
      }
    }
  } catch (error) {
    throw new CommandError(EXIT.unreachable, 'SERVICE_UNREACHABLE', 'The service ended the connection.', {
      cause: error,
    });
  }
}

function parseEvent(block: string): { event: string; data: unknown } | undefined {
  let event = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) event = line.slice(7);
    if (line.startsWith('data: ')) data.push(line.slice(6));
  }
  return data.length === 0 ? undefined : { event, data: JSON.parse(data.join('\n')) };
}
