/** The line between a charger and its service: HTTPS on loopback with client certificates, and whoever stands on it. */
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { CheckIn, Confirm } from '@tidegate/client-sdk/protocol';
import type { ClientIdentity } from '@tidegate/client-sdk/agent';
import type { TestService } from '../../client-sdk/agent/testing/service.ts';
import { authority } from '../../client-sdk/agent/testing/tls.ts';
import { SubjectAlternativeNameExtension } from '@peculiar/x509';

const YEAR = 365 * 24 * 60 * 60 * 1000;

/** Answers in the service's place; false: the service answers. */
export type Intruder = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface Certificates {
  ca: string;
  server: { pem: string; key: string };
  charger: ClientIdentity;
}

/** @param life of the service's certificate; the authority and the charger's own live for years. */
export async function certificates(
  life?: { from: number; to: number },
  dns = 'localhost',
): Promise<Certificates> {
  const ca = await authority({ from: Date.now() - 9 * YEAR, to: Date.now() + 5 * YEAR });
  const name = new SubjectAlternativeNameExtension([{ type: 'dns', value: dns }]);
  const lives = life && { notBefore: new Date(life.from), notAfter: new Date(life.to) };
  const server = await ca.issue('CN=localhost', undefined, [name], lives);
  const charger = await ca.issue('CN=C-0001, O=acme', undefined, []);
  return { ca: ca.pem, server, charger: { certificate: charger.pem, key: charger.key } };
}

export class Line {
  intruder: Intruder | undefined;
  /** As `GET /tuf/metadata/2.root.json`. */
  readonly requests: string[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(service: TestService, held: Certificates): Promise<Line> {
    const server = createServer({
      cert: held.server.pem,
      key: held.server.key,
      ca: held.ca,
      requestCert: true,
      rejectUnauthorized: false,
    });
    const line = new Line(server);
    server.on('request', (request, response) => {
      line.requests.push(`${request.method} ${request.url}`);
      response.on('error', () => undefined);
      if (line.intruder?.(request, response) === true) return;
      void answer(service, request, response).catch((error: unknown) =>
        response.writeHead(500).end(String(error)),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return line;
  }

  get origin(): string {
    return `https://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

async function answer(
  service: TestService,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString('utf8');
  const say = (status: number, value: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  };
  if (!(request.socket as TLSSocket).authorized) return say(401, { code: 'CERTIFICATE_REQUIRED' });
  if (request.url === '/device/v1/check-in') return say(200, service.checkIn(JSON.parse(body) as CheckIn));
  if (request.url === '/device/v1/confirm') {
    const confirmed = service.confirm(JSON.parse(body) as Confirm);
    return confirmed ? say(200, confirmed) : say(503, { code: 'UNAVAILABLE' });
  }
  const bytes = service.file((request.url ?? '').replace('/tuf/', ''));
  if (bytes === undefined) return void response.writeHead(404).end();
  serve(bytes, request, response);
}

/** A file with its range. RFC 9110 14.2 */
export function serve(bytes: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? Number.NaN);
  const etag = `"${bytes.length}"`;
  if (Number.isNaN(from)) {
    response.writeHead(200, { 'content-length': bytes.length, etag }).end(bytes);
    return;
  }
  const range = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
  response.writeHead(206, { 'content-range': range, etag }).end(bytes.subarray(from));
}
