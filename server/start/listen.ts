import { createServer, type Server } from 'node:https';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import { StartError } from './errors.ts';

/** The longest upload over a slow line; bodies of other requests have limits of their own. */
const REQUEST_MS = 60 * 60 * 1000;
/** A charger that checks in every minute keeps its connection. */
const KEEP_ALIVE_MS = 75_000;

/**
 * Listens. Client certificates are asked for and verified against the CA, and each route judges what it was shown: operators have
 * none, a charger that enrols has none yet.
 *
 * @throws StartError `PORT_IN_USE`, `PORT_DENIED`, `LISTEN_FAILED`
 */
export async function listen(
  app: RequestListener,
  tls: SecureContextOptions & { ca: string },
  port: number,
): Promise<{ server: Server; port: number }> {
  const server = createServer(
    {
      ...tls,
      minVersion: 'TLSv1.2',
      requestCert: true,
      rejectUnauthorized: false,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    app,
  );
  server.on('clientError', refuseMalformed);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, port)));
    server.listen(port, resolve);
  });
  return { server, port: (server.address() as AddressInfo).port };
}

/** What is no HTTP gets a coded answer too, and no more of the connection. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify({
    title: 'Bad Request',
    status: 400,
    code: 'REQUEST_MALFORMED',
    detail: 'The request is not well-formed HTTP, or ended before its announced length.',
  });
  socket.end(
    `HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function listenError(error: NodeJS.ErrnoException, port: number): StartError {
  const code =
    error.code === 'EADDRINUSE' ? 'PORT_IN_USE' : error.code === 'EACCES' ? 'PORT_DENIED' : 'LISTEN_FAILED';
  return new StartError(code, `Port ${port}.`, { cause: error });
}

/** Lets requests under way finish for `graceMs`; streams that never end (live progress) are cut then. */
export async function stopListening(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(cut);
}
