import { type AddressInfo, connect } from 'node:net';
import { type Server, createServer } from 'node:http';
import express from 'express';
import { Refusal } from '@tidegate/client-sdk/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import {
  ApiError,
  freeChunk,
  jsonBody,
  notFound,
  parseFields,
  type Problem,
  problemHandler,
  problemOf,
} from './index.ts';

const schema = z.strictObject({ name: z.string().max(5), deep: z.strictObject({ 'a/b': z.number() }) });
const reported: unknown[] = [];
let served = 0;
let server: Server;
let origin: string;

beforeAll(async () => {
  const app = express();
  app.post('/fields', jsonBody(100), (request, response) => {
    served++;
    response.json(parseFields(schema, request.body));
  });
  app.get('/parameter/:name', (request, response) => {
    response.json(request.params.name);
  });
  app.get('/crash', () => {
    throw new Error('password=hunter2');
  });
  app.use(notFound);
  app.use(problemHandler((error) => reported.push(error)));
  server = createServer(app).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

async function post(body: string | Uint8Array, headers: Record<string, string> = {}): Promise<Problem> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers } };
  const answer = await fetch(`${origin}/fields`, { ...init, body: Buffer.from(body) });
  if (answer.status >= 400) expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  return (await answer.json()) as Problem;
}

test('a good body is answered', async () => {
  expect(await post('{"name":"a","deep":{"a/b":1}}')).toEqual({ name: 'a', deep: { 'a/b': 1 } });
});

test.each([
  ['not JSON', '{"name":', {}, 'BODY_MALFORMED', 400],
  ['nothing', '', {}, 'BODY_MALFORMED', 400],
  ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]), {}, 'BODY_MALFORMED', 400],
  ['nested until the parser gives up', '['.repeat(99), {}, 'BODY_MALFORMED', 400],
  ['too long', `"${'x'.repeat(200)}"`, {}, 'BODY_TOO_LARGE', 413],
  ['another type', '{}', { 'content-type': 'text/plain' }, 'CONTENT_TYPE', 415],
  ['compressed', '{}', { 'content-encoding': 'gzip' }, 'CONTENT_TYPE', 415],
])('a body that is %s is refused', async (_name, body, headers, code, status) => {
  const before = served;
  expect(await post(body, headers)).toMatchObject({ code, status });
  expect(served).toBe(before);
});

test('a body without a length is cut off at the limit', async () => {
  const endless = new ReadableStream({ pull: (controller) => controller.enqueue(Buffer.alloc(64, 0x20)) });
  const answer = await fetch(`${origin}/fields`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: endless,
    duplex: 'half',
  }).catch((error: unknown) => error);
  // Either the answer got through or the connection was cut first; the handler never ran with it.
  if (answer instanceof Response) expect(answer.status).toBe(413);
});

test('a truncated body reaches no handler', async () => {
  const before = served;
  const socket = connect(Number(new URL(origin).port), '127.0.0.1');
  socket.write(
    'POST /fields HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{',
  );
  await new Promise((done) => setTimeout(done, 20));
  socket.destroy();
  expect(await post('{"name":"a","deep":{"a/b":1}}')).toHaveProperty('name');
  expect(served).toBe(before + 1);
});

test('a wrong field is named by its pointer', async () => {
  expect(await post('{"name":"a","deep":{"a/b":"x"}}')).toMatchObject({
    code: 'FIELD_INVALID',
    pointer: '/deep/a~1b',
  });
});

test('an unknown path and a malformed one are not found', async () => {
  for (const path of ['/nowhere', '/parameter/%']) {
    const answer = await fetch(origin + path);
    expect([answer.status, ((await answer.json()) as Problem).code]).toEqual([404, 'NOT_FOUND']);
  }
});

test('an unexpected error says nothing to the caller and everything to the log', async () => {
  const answer = await fetch(`${origin}/crash`);
  const text = await answer.text();
  expect(answer.status).toBe(500);
  expect(JSON.parse(text)).toMatchObject({ code: 'INTERNAL' });
  expect(text).not.toContain('hunter2');
  expect(reported.at(-1)).toMatchObject({ message: 'password=hunter2' });
});

test("the SDK's refusals keep their code", () => {
  expect(problemOf(new Refusal('BUNDLE_INVALID', 'x'))).toMatchObject({
    code: 'BUNDLE_INVALID',
    status: 422,
  });
  expect(problemOf(new ApiError('CONFLICT', 'x'))).toMatchObject({ code: 'CONFLICT', status: 409 });
});

test('a chunk of a body is freed at once, and never with anything that shares its memory', () => {
  const alone = Buffer.from(new ArrayBuffer(16_384));
  freeChunk(alone);
  expect(alone.length).toBe(0);
  const memory = Buffer.from(new ArrayBuffer(16_384));
  freeChunk(memory.subarray(0, 10));
  freeChunk(Buffer.from('pooled'));
  expect(memory.length).toBe(16_384);
});
