/** What the tests of this room share: a service on real TLS, and chargers that call it with real certificates. */
import { webcrypto } from 'node:crypto';
import { type RequestOptions, type Server, createServer, request as httpsRequest } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
// @peculiar/x509 refuses to load without it.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import express, { type Router } from 'express';
import type { DeviceAuthority } from '../../identity/index.ts';
import { notFound, problemHandler } from '../../http/index.ts';

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface KeyAndRequest {
  /** PKCS #8, PEM. */
  key: string;
  /** PKCS #10, PEM. */
  csr: string;
}

export async function newKeyAndRequest(name = 'CN=whatever'): Promise<KeyAndRequest> {
  const keys = await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify']);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ name, keys, signingAlgorithm: P256 });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'), csr: csr.toString('pem') };
}

export interface ClientCertificate {
  key: string;
  cert: string;
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** The body parsed, or undefined. */
  json: unknown;
}

export interface TestService {
  call(
    method: string,
    path: string,
    options?: { client?: ClientCertificate | undefined; body?: unknown; headers?: Record<string, string> },
  ): Promise<Answer>;
  port: number;
  errors: unknown[];
  close(): Promise<void>;
}

/** Mounts a router as the composition root does: client certificates are asked for, and judged by the routes. */
export async function serve(router: Router, authority: DeviceAuthority): Promise<TestService> {
  const { certificate, key } = await authority.issueServer({ dns: ['localhost'], ip: ['127.0.0.1'] });
  const errors: unknown[] = [];
  const app = express().use(
    router,
    notFound,
    problemHandler((error) => errors.push(error)),
  );
  const ca = authority.certificate;
  const server = createServer(
    { cert: certificate, key, ca, requestCert: true, rejectUnauthorized: false },
    app,
  );
  const port = await listen(server);
  return {
    port,
    errors,
    call: (method, path, { client, body, headers } = {}) =>
      call(
        {
          host: '127.0.0.1',
          port,
          method,
          path,
          ca,
          ...client,
          ...(headers === undefined ? {} : { headers }),
        },
        body,
      ),
    close: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}

function listen(server: Server): Promise<number> {
  return new Promise((done) => {
    server.listen(0, '127.0.0.1', () => done((server.address() as AddressInfo).port));
  });
}

/** @param body an object is sent as JSON; text and bytes as they are. */
function call(options: RequestOptions, body?: unknown): Promise<Answer> {
  const bytes =
    body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const headers = {
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(options.headers as Record<string, string> | undefined),
  };
  return new Promise((done, fail) => {
    const sent = httpsRequest({ ...options, agent: false, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', fail);
      response.on('end', () => {
        const whole = Buffer.concat(chunks);
        done({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: whole,
          json: parsed(whole),
        });
      });
    });
    sent.on('error', fail);
    sent.end(bytes);
  });
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}
