/** One request over HTTP, bounded in time and size, with whatever goes wrong as a refusal. No redirect is followed. */
import { request as httpRequest, type Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Refusal } from '../protocol/index.ts';
import type { StreamedAnswer } from './transport.ts';

/** Longest head of an answer, in bytes: ours, whatever the process was started with. */
const HEAD_BYTES = 16 * 1024;
/** ms that a byte of the request's body may take: 1 kB a second, the minimum rate of downloads. */
const MS_PER_BYTE = 1;

export interface Wire {
  /** Origin, with a path before all others where there is one. */
  base: string;
  agent: HttpAgent;
  /** ms without a byte until a connection is given up; and ms in which the head of an answer must be whole. */
  timeout: number;
}

export interface WireRequest {
  method: 'GET' | 'POST';
  path: string;
  headers: Record<string, string>;
  body?: Buffer;
  signal?: AbortSignal | undefined;
}

/** Resolves with the head of the answer. @throws Refusal SERVICE_UNREACHABLE */
export function send({ base, agent, timeout }: Wire, asked: WireRequest): Promise<IncomingMessage> {
  const { method, path, headers, body, signal } = asked;
  const url = new URL(base.replace(/\/$/, '') + path);
  const request = url.protocol === 'http:' ? httpRequest : httpsRequest;
  return new Promise((resolve, reject) => {
    const options = { agent, method, headers, timeout, maxHeaderSize: HEAD_BYTES };
    const message = request(url, { ...options, ...(signal ? { signal } : {}) });
    const giveUp = (): void => void message.destroy(new Error(`no answer in ${timeout} ms`));
    // A head that trickles, or is announced again and again (1xx), keeps the connection busy for ever.
    const deadline = setTimeout(giveUp, timeout + (body?.length ?? 0) * MS_PER_BYTE);
    message.on('timeout', giveUp);
    message.on('response', (response) => {
      clearTimeout(deadline);
      resolve(response);
    });
    const fail = (error: Error): void => {
      clearTimeout(deadline);
      reject(new Refusal('SERVICE_UNREACHABLE', `${method} ${path}: ${error.message}`, { cause: error }));
    };
    message.on('error', fail);
    // 101 ends in neither an answer nor an error: Node closes the connection and says no more.
    message.on('close', () => fail(new Error('the connection was closed without an answer')));
    message.end(body);
  });
}

/** The answer to a GET, its body as it arrives. */
export async function streamed(wire: Wire, asked: WireRequest): Promise<StreamedAnswer> {
  const response = await send(wire, asked);
  const headers = Object.entries(response.headers).map(([name, value]) => [name, joined(value)]);
  return {
    status: response.statusCode ?? 0,
    headers: Object.fromEntries(headers) as StreamedAnswer['headers'],
    body: bodyOf(response, asked.path),
  };
}

/** The body, with whatever breaks it as a refusal. Whoever stops reading early ends the connection, also in the middle of a wait. */
export function bodyOf(response: IncomingMessage, path: string): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]() {
      const chunks = (response as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
      return {
        async next(): Promise<IteratorResult<Uint8Array>> {
          try {
            return await chunks.next();
          } catch (error) {
            throw new Refusal('SERVICE_UNREACHABLE', `${path}: the answer broke off`, { cause: error });
          }
        },
        async return(): Promise<IteratorResult<Uint8Array>> {
          if (!response.complete) response.destroy();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

const joined = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value;
