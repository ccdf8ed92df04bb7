import { createServer, type Server } from 'node:https';
import { type RequestListener, STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import { ApiError, problemOf } from '../http/index.ts';
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
  const problem = problemOf(malformed(error.code));
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** By the words of Node's parser. */
function malformed(code: string | undefined): ApiError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new ApiError('HEADERS_TOO_LARGE', 'The headers are longer than 16 KiB.');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new ApiError('REQUEST_TIMEOUT', 'The request did not arrive in time.');
    default:
      return new ApiError('REQUEST_MALFORMED', 'Not well-formed HTTP, or ended before its announced length.');
  }
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
