/** Starts that come to nothing: they end by themselves or when asked, and leave nothing running. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { gone, TestState } from './state.fixture.ts';

let state: TestState;
beforeAll(async () => {
  state = await TestState.init();
});
afterAll(() => state.remove());

/** Takes connections and says nothing, as a Redis that hangs does. */
async function silentRedis(connected: () => void): Promise<{ url: string; close: () => void }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    connected();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return { url: `redis://127.0.0.1:${port}`, close: () => server.close() };
}

test.each([
  ['refuses connections', () => Promise.resolve({ url: 'redis://127.0.0.1:1', close: () => undefined })],
  ['takes connections and says nothing', () => silentRedis(() => undefined)],
])('a queue that %s ends the start by itself, PostgreSQL included', async (_name, open) => {
  const redis = await open();
  const { ended } = state.spawn({ REDIS_URL: redis.url });
  const { exit, said } = await ended;
  expect(exit).toBe(1);
  expect(said).toEqual([{ error: { code: 'QUEUE_UNREACHABLE', message: expect.any(String) as string } }]);
  expect(await state.postmaster()).toBeNaN();
  redis.close();
});

test.each(['SIGTERM', 'SIGINT'] as const)('the first %s ends a start under way in order', async (signal) => {
  const { promise: waiting, resolve } = Promise.withResolvers<void>();
  const redis = await silentRedis(resolve);
  const service = state.spawn({ REDIS_URL: redis.url });
  await waiting;
  const postmaster = await state.postmaster();
  expect(postmaster).toBeGreaterThan(0);
  service.kill(signal);
  expect(await service.ended).toEqual({ exit: 0, said: [] });
  await gone(postmaster);
  expect(await state.postmaster()).toBeNaN();
  redis.close();
});

test('a second service on the same folder is told who holds it, and the next after a kill is not', async () => {
  const first = state.spawn({});
  const [line] = (await first.ready) as [string];
  const { pid, url } = JSON.parse(line) as { pid: number; url: string };
  const { exit, said } = await state.spawn({}).ended;
  expect(exit).toBe(1);
  const [{ error } = {}] = said as { error?: { code: string; message: string } }[];
  expect(error?.code).toBe('ALREADY_RUNNING');
  expect(error?.message).toContain(String(pid));
  expect(error?.message).toContain(url);
  const record = join(state.home, 'service', 'running.json');
  const left = await readFile(record, 'utf8');
  first.kill('SIGKILL');
  await first.ended;
  expect(await readFile(record, 'utf8')).toBe(left);
  const next = state.spawn({});
  await next.ready;
  next.kill('SIGTERM');
  expect(await next.ended).toMatchObject({ exit: 0 });
  await expect(readFile(record)).rejects.toThrow();
});
