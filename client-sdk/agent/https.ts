/** The agent's transport: HTTPS with the charger's certificate, to one origin, over one kept connection, trusting one CA. */
import type { IncomingMessage } from 'node:http';
import { LIMITS, Refusal } from '../protocol/index.ts';
import type { CheckInAnswer, Clock, ConfirmAnswer, EnrolAnswer, EnrolRequest } from '../protocol/index.ts';
import { CHECK_IN_ANSWER, CONFIRM_ANSWER, ENROL_ANSWER, shaped } from './answers.ts';
import type { Shape } from './answers.ts';
import { readUpTo } from './read-up-to.ts';
import { TimedAgent } from './tls.ts';
import { ServiceRefusal } from './transport.ts';
import type { Transport } from './transport.ts';
import { bodyOf, send, streamed } from './wire.ts';

export interface HttpsOptions {
  /** Origin, e.g. `https://tidegate.example:8443`. */
  service: string;
  /** PEM. No other CA counts. */
  ca: string;
  /** PEM: the certificate with its chain, and its key. Without them only `enrol` is answered. */
  client?: { certificate: string; key: string };
  /** ms without a byte until a connection is given up; ms for a handshake, and for the head of an answer. 30 000 unless told. */
  timeout?: number;
  /** ms: when the image was built. A certificate that expired before is refused even by a charger that knows no time yet. */
  builtAt?: number;
  /** The wall's, by which a slow answer is told from a healthy one. The system's unless told. */
  wall?: Clock;
}

export interface HttpsTransport extends Transport {
  enrol(body: EnrolRequest): Promise<EnrolAnswer>;
}

export function httpsTransport(options: HttpsOptions): HttpsTransport {
  const { service, ca, client, timeout = 30_000, builtAt = 0, wall } = options;
  const agent = new TimedAgent({
    ca,
    ...(client ? { cert: client.certificate, key: client.key } : {}),
    minVersion: 'TLSv1.2',
    keepAlive: true,
    // One for the check-in, one for a download beside it.
    maxSockets: 2,
    maxFreeSockets: 1,
    timeout,
  });
  agent.time = { now: () => undefined, floor: () => builtAt };
  const wire = { base: service, agent, timeout };

  async function post<T>(path: string, value: unknown, shape: Shape, signal?: AbortSignal): Promise<T> {
    const body = Buffer.from(JSON.stringify(value));
    const headers = { 'content-type': 'application/json', 'content-length': String(body.length) };
    const response = await send(wire, { method: 'POST', path, headers, body, signal });
    const bytes = await whole(response, path, wall);
    if (response.statusCode !== 200 && response.statusCode !== 201) throw refusedBy(path, response, bytes);
    return shaped(path, bytes, shape) as T;
  }

  return {
    checkIn: (body, signal) => post<CheckInAnswer>('/device/v1/check-in', body, CHECK_IN_ANSWER, signal),
    confirm: (body, signal) => post<ConfirmAnswer>('/device/v1/confirm', body, CONFIRM_ANSWER, signal),
    enrol: (body) => post<EnrolAnswer>('/device/v1/enrol', body, ENROL_ANSWER),
    get: (path, { headers = {}, signal } = {}) => streamed(wire, { method: 'GET', path, headers, signal }),
    judgeTimeBy(time) {
      agent.time = { ...time, floor: () => Math.max(builtAt, time.floor()) };
    },
    close: () => agent.destroy(),
  };
}

async function whole(response: IncomingMessage, path: string, wall?: Clock): Promise<Buffer> {
  const bytes = await readUpTo(bodyOf(response, path), LIMITS.answerBody + 1, wall);
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
