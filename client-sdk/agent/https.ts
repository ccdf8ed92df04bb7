/** The agent's transport: HTTPS with the charger's certificate, to one origin, over one kept connection, trusting one CA. */
import { Agent as HttpsAgent, request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { LIMITS, Refusal } from '../protocol/index.ts';
import type { CheckInAnswer, ConfirmAnswer, EnrolAnswer, EnrolRequest } from '../protocol/index.ts';
import { readUpTo } from './read-up-to.ts';
import { ServiceRefusal } from './transport.ts';
import type { StreamedAnswer, Transport } from './transport.ts';

export interface HttpsOptions {
  /** Origin, e.g. `https://tidegate.example:8443`. */
  service: string;
  /** PEM. No other CA counts. */
  ca: string;
  /** PEM: the certificate with its chain, and its key. Without them only `enrol` is answered. */
  client?: { certificate: string; key: string };
  /** ms without a byte until a connection is given up. 30 000 unless told. */
  timeout?: number;
}

export interface HttpsTransport extends Transport {
  enrol(body: EnrolRequest): Promise<EnrolAnswer>;
}

export function httpsTransport(options: HttpsOptions): HttpsTransport {
  const { service, ca, client, timeout = 30_000 } = options;
  const agent = new HttpsAgent({
    ca,
    ...(client ? { cert: client.certificate, key: client.key } : {}),
    minVersion: 'TLSv1.2',
    keepAlive: true,
    // One for the check-in, one for a download beside it.
    maxSockets: 2,
    maxFreeSockets: 1,
    timeout,
  });

  function send(
    method: 'GET' | 'POST',
    path: string,
    headers: Record<string, string>,
    body: Buffer | undefined,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void =>
        reject(new Refusal('SERVICE_UNREACHABLE', `${method} ${path}: ${error.message}`, { cause: error }));
      const message = request(
        new URL(path, service),
        { agent, method, headers, timeout, ...(signal ? { signal } : {}) },
        resolve,
      );
      message.on('timeout', () => message.destroy(new Error(`no answer in ${timeout} ms`)));
      message.on('error', fail);
      message.end(body);
    });
  }

  async function post<T>(path: string, value: unknown, shape: Shape, signal?: AbortSignal): Promise<T> {
    const body = Buffer.from(JSON.stringify(value));
    const headers = { 'content-type': 'application/json', 'content-length': String(body.length) };
    const response = await send('POST', path, headers, body, signal);
    const bytes = await whole(response, path);
    if (response.statusCode !== 200 && response.statusCode !== 201) throw refusedBy(path, response, bytes);
    return shaped(path, bytes, shape) as T;
  }

  return {
    checkIn: (body, signal) => post<CheckInAnswer>('/device/v1/check-in', body, CHECK_IN_ANSWER, signal),
    confirm: (body, signal) => post<ConfirmAnswer>('/device/v1/confirm', body, CONFIRM_ANSWER, signal),
    enrol: (body) => post<EnrolAnswer>('/device/v1/enrol', body, ENROL_ANSWER),
    async get(path, { headers = {}, signal } = {}): Promise<StreamedAnswer> {
      const response = await send('GET', path, headers, undefined, signal);
      return {
        status: response.statusCode ?? 0,
        headers: Object.fromEntries(
          Object.entries(response.headers).map(([name, value]) => [name, joined(value)]),
        ),
        body: chunksOf(response, path),
      };
    },
    close: () => agent.destroy(),
  };
}

/** Field → type, of what an answer must hold. */
type Shape = Record<string, 'string' | 'number' | 'object'>;
const CHECK_IN_ANSWER: Shape = {
  directive: 'object',
  timestamp: 'string',
  rootVersion: 'number',
  acknowledged: 'number',
  pollAfter: 'number',
};
const CONFIRM_ANSWER: Shape = { directive: 'object' };
const ENROL_ANSWER: Shape = { certificate: 'string', chain: 'string' };

function shaped(path: string, bytes: Buffer, shape: Shape): unknown {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(bytes.toString('utf8')) as Record<string, unknown> | null;
  } catch (error) {
    throw new Refusal('SERVICE_UNREACHABLE', `${path}: the answer is not JSON`, { cause: error });
  }
  for (const [field, type] of Object.entries(shape)) {
    const held = value?.[field];
    if (typeof held !== type || held === null || (type === 'number' && !Number.isSafeInteger(held))) {
      throw new Refusal('SERVICE_UNREACHABLE', `${path}: the answer's ${field} is not of the right shape`);
    }
  }
  return value;
}

async function whole(response: IncomingMessage, path: string): Promise<Buffer> {
  const bytes = await readUpTo(chunksOf(response, path), LIMITS.answerBody + 1);
  if (bytes.length > LIMITS.answerBody) {
    throw new Refusal('SERVICE_UNREACHABLE', `${path}: the answer is longer than ${LIMITS.answerBody} bytes`);
  }
  return bytes;
}

/** RFC 9457 */
function refusedBy(path: string, response: IncomingMessage, bytes: Buffer): ServiceRefusal {
  const status = response.statusCode ?? 0;
  const problem = problemIn(bytes);
  const retryAfter = Number(response.headers['retry-after']);
  const detail = `${path}: ${status} ${problem.code ?? ''} ${problem.detail ?? ''}`.trimEnd();
  return new ServiceRefusal(detail, {
    status,
    ...(problem.code !== undefined ? { problemCode: problem.code } : {}),
    ...(retryAfter > 0 ? { retryAfter } : {}),
  });
}

function problemIn(bytes: Buffer): { code?: string; detail?: string } {
  try {
    const value = JSON.parse(bytes.toString('utf8')) as Record<string, unknown> | null;
    return {
      ...(typeof value?.['code'] === 'string' ? { code: value['code'].slice(0, 64) } : {}),
      ...(typeof value?.['detail'] === 'string' ? { detail: value['detail'].slice(0, 200) } : {}),
    };
  } catch {
    return {};
  }
}

/** The body, with whatever breaks it as a refusal. */
async function* chunksOf(response: IncomingMessage, path: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response) yield chunk as Buffer;
  } catch (error) {
    throw new Refusal('SERVICE_UNREACHABLE', `${path}: the answer broke off`, { cause: error });
  }
}

const joined = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value;
