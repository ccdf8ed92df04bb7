/** What no HTTP client would send, on the service's own port. */
import { connect as connectTcp } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '@tidegate/client-sdk/agent/clock';
import { DeviceAuthority } from '../identity/index.ts';
import { listen, stopListening } from './listen.ts';

let folder: string;
let ca: string;
let server: Server;
let port: number;
let served = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate-listen-'));
  const authority = await DeviceAuthority.open(join(folder, 'ca'), systemClock);
  ca = authority.certificate;
  const { certificate, key } = await authority.issueServer({ dns: ['localhost'], ip: ['127.0.0.1'] });
  const app = (_request: unknown, response: { end: (text: string) => void }): void => {
    served++;
    response.end('served');
  };
  ({ server, port } = await listen(app, { cert: certificate, key, ca }, 0));
});
afterAll(async () => {
  await stopListening(server, 0);
  await rm(folder, { recursive: true, force: true });
});

/** Sends these bytes over TLS and reads until the service closes. */
function say(bytes: string | Buffer): Promise<string> {
  const socket: TLSSocket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost' });
  socket.once('secureConnect', () => socket.write(bytes));
  return new Promise((resolve, reject) => {
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    socket.once('end', () => resolve(text)).once('error', reject);
  });
}

test.each([
  ['garbage', Buffer.from([0, 255, 1, 254, 13, 10, 13, 10]), 400, 'REQUEST_MALFORMED'],
  ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n\r\n', 400, 'REQUEST_MALFORMED'],
  ['two lengths', request('Content-Length: 1\r\nContent-Length: 2'), 400, 'REQUEST_MALFORMED'],
  [
    'a length and chunks (smuggling)',
    request('Content-Length: 4\r\nTransfer-Encoding: chunked'),
    400,
    'REQUEST_MALFORMED',
  ],
  ['a header that is too long', request(`X-Long: ${'x'.repeat(20_000)}`), 431, 'HEADERS_TOO_LARGE'],
])('%s gets a coded answer, once, and no handler', async (_name, bytes, status, code) => {
  const before = served;
  const answer = await say(bytes);
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} \\w`));
  expect(head).toContain('application/problem+json');
  expect(head).toContain(`Content-Length: ${Buffer.byteLength(body)}`);
  expect(JSON.parse(body)).toMatchObject({
    type: `urn:tidegate:problem:${code}`,
    status,
    code,
    title: expect.stringMatching(/\w/) as string,
  });
  expect(served).toBe(before);
});

test('plain HTTP to the TLS port is cut, and the service goes on', async () => {
  const before = served;
  const socket = connectTcp(port, '127.0.0.1');
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  socket.on('error', () => undefined);
  socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  expect(text).not.toContain('served');
  expect(served).toBe(before);
  expect(await say('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).toContain('served');
});

function request(header: string): string {
  return `GET / HTTP/1.1\r\nHost: localhost\r\n${header}\r\n\r\n`;
}
