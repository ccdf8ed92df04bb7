/** How Sigstore's services are asked: bounded, without redirects, again where that may help, and never with a secret in an error. */
import { setTimeout as pause } from 'node:timers/promises';
import { AttestError } from './errors.ts';

/** Rekor v2 answers when the entry is in the log, which may take seconds. rekor-tiles/CLIENTS.md asks for at least 20. */
const TIMEOUT_MS = 30_000;
const MAX_ANSWER = 1024 * 1024;
const ATTEMPTS = 3;
const PAUSE_MS = 500;
const SHOWN = 300;

export interface Question {
  /** Who is asked, for errors. */
  service: string;
  url: string;
  method?: 'GET' | 'POST';
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** Never shown, should the service repeat it. */
  secret?: string;
  /** Answers besides 2xx that the caller understands. */
  expected?: readonly number[];
}

export interface Answer {
  status: number;
  /** Of a 409, where the entry is already. */
  location: string | undefined;
  body: Buffer;
}

/** @throws AttestError `SERVICE_INSECURE`, `SERVICE_UNREACHABLE`, `SERVICE_REFUSED`, `SERVICE_ANSWER` (too long). */
export async function ask(question: Question): Promise<Answer> {
  checkUrl(question.service, question.url);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once(question);
    } catch (error) {
      if (attempt === ATTEMPTS || !(error instanceof TryAgain))
        throw error instanceof TryAgain ? error.error : error;
      await pause(PAUSE_MS * attempt);
    }
  }
}

/** What may go away by itself. */
class TryAgain extends Error {
  readonly error: AttestError;
  constructor(error: AttestError) {
    super(error.message);
    this.error = error;
  }
}

async function once(question: Question): Promise<Answer> {
  const { service, url, method = 'POST', headers = {}, body, secret, expected = [] } = question;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  let answer: Buffer | undefined;
  try {
    // A redirect would carry the token or the signature to somebody whom the signing config does not name.
    response = await fetch(url, { method, headers, body: body ?? null, signal, redirect: 'manual' });
    answer = await readBounded(response);
  } catch (cause) {
    throw new TryAgain(new AttestError('SERVICE_UNREACHABLE', `${service} at ${url}`, { cause }));
  }
  if (answer === undefined) throw new AttestError('SERVICE_ANSWER', `${service} does not stop talking`);
  const { status } = response;
  if (!response.ok && !expected.includes(status)) {
    const said = printable(answer.toString('utf8').slice(0, 4 * SHOWN), secret);
    const error = new AttestError(
      'SERVICE_REFUSED',
      `${service} at ${url} (${status}): ${said || 'no words'}`,
    );
    throw status === 408 || status === 429 || status >= 500 ? new TryAgain(error) : error;
  }
  return { status, location: response.headers.get('location') ?? undefined, body: answer };
}

async function readBounded(response: Response): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > MAX_ANSWER) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** @throws AttestError `SERVICE_INSECURE` */
function checkUrl(service: string, text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const here = url !== undefined && ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  const safe = url?.protocol === 'https:' || (url?.protocol === 'http:' && here);
  if (!safe || url.username !== '' || url.password !== '') {
    throw new AttestError('SERVICE_INSECURE', `${service} at ${text.slice(0, 200)}`);
  }
}

function printable(text: string, secret: string | undefined): string {
  const safe = secret === undefined ? text : text.replaceAll(secret, '…');
  return safe.replace(/\s+/g, ' ').replace(/\p{C}/gu, '').trim().slice(0, SHOWN);
}
