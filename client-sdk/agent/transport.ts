/** How the agent reaches the service: two calls and a read. `https.ts` is the real one. */
import { Refusal } from '../protocol/index.ts';
import type { TlsTime } from './tls.ts';
import type { CheckIn, CheckInAnswer, Confirm, ConfirmAnswer } from '../protocol/index.ts';

/** An answer whose body is read as it arrives. Reading it to the end, or leaving the loop, frees the connection. */
export interface StreamedAnswer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string | undefined>;
  body: AsyncIterable<Uint8Array>;
}

/**
 * Errors: `Refusal` with `SERVICE_UNREACHABLE` (nothing, too late or unreadable came back) or `SERVICE_REFUSED` (a problem
 * document; see `ServiceRefusal`).
 */
export interface Transport {
  checkIn(body: CheckIn, signal?: AbortSignal): Promise<CheckInAnswer>;
  confirm(body: Confirm, signal?: AbortSignal): Promise<ConfirmAnswer>;
  /** GET of an absolute path, e.g. `/tuf/metadata/2.root.json`. Any status is an answer. */
  get(
    path: string,
    options?: { headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<StreamedAnswer>;
  /** Told by the agent when it starts: the time by which TLS is judged, where it is not the machine's. See `tls.ts` */
  judgeTimeBy?(time: TlsTime): void;
  close(): void;
}

/** The service said no. `problemCode` is the `code` of its RFC 9457 answer. */
export class ServiceRefusal extends Refusal {
  readonly status: number;
  readonly problemCode: string | undefined;
  /** Seconds, from `Retry-After`. */
  readonly retryAfter: number | undefined;

  constructor(detail: string, answer: { status: number; problemCode?: string; retryAfter?: number }) {
    super('SERVICE_REFUSED', detail);
    this.status = answer.status;
    this.problemCode = answer.problemCode;
    this.retryAfter = answer.retryAfter;
  }
}
