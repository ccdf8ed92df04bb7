/** A `TestService` behind TLS: a CA of its own, client certificates, and enrolment by token. */
import 'reflect-metadata';
import { createServer } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { CheckIn, Confirm, EnrolRequest } from '../../protocol/index.ts';
import type { TestService } from './service.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY = 24 * 60 * 60 * 1000;

export interface TlsBench {
  origin: string;
  /** PEM of the CA. */
  ca: string;
  /** Requests so far, as `METHOD path`. */
  requests: string[];
  /** Connections so far. */
  connections: number;
  /** Replaces an answer. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  close(): Promise<void>;
}

/** @param until ms: when the server's certificate ends; with its CA's unless told. */
export async function listenTls(service: TestService, token: string, until?: number): Promise<TlsBench> {
  const ca = await authority();
  const names = [new SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }])];
  const lives = until === undefined ? undefined : { notBefore: new Date(), notAfter: new Date(until) };
  const server = await ca.issue('CN=localhost', undefined, names, lives);
  const bench: TlsBench = {
    origin: '',
    ca: ca.pem,
    requests: [],
    connections: 0,
    intercept: undefined,
    close,
  };
  const options = {
    cert: server.pem,
    key: server.key,
    ca: ca.pem,
    requestCert: true,
    rejectUnauthorized: false,
  };
  const listener = createServer(options, (request, response) => {
    bench.requests.push(`${request.method} ${request.url}`);
    if (bench.intercept?.(request, response)) return;
    void answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  listener.on('secureConnection', () => bench.connections++);
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  bench.origin = `https://localhost:${(listener.address() as AddressInfo).port}`;
  return bench;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await jsonBody(request);
    const say = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    if (request.url === '/device/v1/enrol') {
      const asked = body as EnrolRequest;
      if (asked.token !== token) return say(403, { code: 'TOKEN_UNKNOWN', detail: 'No such token.' });
      const csr = new Pkcs10CertificateRequest(asked.csr);
      if (!(await csr.verify())) return say(400, { code: 'CSR_INVALID' });
      const issued = await ca.issue(csr.subject, csr.publicKey, []);
      return say(200, { certificate: issued.pem, chain: ca.pem });
    }
    if (!(request.socket as TLSSocket).authorized) return say(401, { code: 'CERTIFICATE_REQUIRED' });
    if (request.url === '/device/v1/check-in') return say(200, service.checkIn(body as CheckIn));
    if (request.url === '/device/v1/confirm') return say(200, service.confirm(body as Confirm));
    const bytes = service.file((request.url ?? '').replace('/tuf/', ''));
    response.writeHead(bytes ? 200 : 404).end(bytes);
  }
  async function close(): Promise<void> {
    listener.closeAllConnections();
    await new Promise((resolve) => listener.close(resolve));
  }
}

async function jsonBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return text === '' ? undefined : JSON.parse(text);
}

/** A CA whose certificates live from `from` to `to`. */
export async function authority({ from = Date.now() - DAY, to = Date.now() + DAY } = {}) {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const life = { notBefore: new Date(from), notAfter: new Date(to) };
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=Test CA',
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [new BasicConstraintsExtension(true, 0, true)],
    ...life,
  });
  return {
    pem: certificate.toString('pem'),
    async issue(
      subject: string,
      publicKey: Pkcs10CertificateRequest['publicKey'] | undefined,
      extensions: SubjectAlternativeNameExtension[],
      lives = life,
    ) {
      const own = publicKey
        ? undefined
        : await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
      const leaf = await X509CertificateGenerator.create({
        subject,
        issuer: certificate.subject,
        publicKey: publicKey ?? (own as webcrypto.CryptoKeyPair).publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ALGORITHM,
        extensions,
        ...lives,
      });
      const der = own
        ? Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey))
        : Buffer.alloc(0);
      const lines = der.toString('base64').replace(/.{64}/g, '$&\n').trim();
      return {
        pem: leaf.toString('pem'),
        key: `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`,
      };
    },
  };
}
