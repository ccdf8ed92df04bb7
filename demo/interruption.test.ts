import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { unlessInterrupted } from './interruption.ts';

const started: ChildProcess[] = [];

/** One that a test could not end must not outlive it. */
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

/** Says when it listens and when it is to end; then ends by itself, or never. */
function listener(afterwards: string) {
  const script = `
    import { awaitInterruption } from ${JSON.stringify(path.join(import.meta.dirname, 'interruption.ts'))};
    const interruption = awaitInterruption();
    interruption.signal.addEventListener('abort', () => { process.stdout.write('ending\\n'); ${afterwards} });
    setInterval(() => {}, 1e6);
    process.stdout.write('listening\\n');`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  const said = child.stdout.setEncoding('utf8')[Symbol.asyncIterator]() as AsyncIterator<string>;
  return { child, exited: once(child, 'exit'), next: async () => (await said.next()).value as string };
}

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('%s asks it to end, with exit code %i', async (signal, code) => {
  const { child, exited, next } = listener('process.exit(interruption.exitCode);');
  expect(await next()).toBe('listening\n');
  child.kill(signal);
  expect(await next()).toBe('ending\n');
  expect(await exited).toEqual([code, null]);
});

test('a second signal ends it at once, but not what is the same Ctrl-C twice', async () => {
  const { child, exited, next } = listener('');
  await next();
  child.kill('SIGINT');
  await next();
  child.kill('SIGINT');
  await delay(1200);
  expect(child.exitCode).toBeNull();
  child.kill('SIGINT');
  expect(await exited).toEqual([130, null]);
});

test('a reader that is gone interrupts it', async () => {
  const { child, exited, next } = listener('process.exit(interruption.exitCode);');
  await next();
  child.stdout.destroy();
  child.kill('SIGTERM');
  const [code] = (await exited) as [number];
  expect([129, 143]).toContain(code);
});

test('work that is interrupted is not waited for', async () => {
  const stop = new AbortController();
  const waiting = unlessInterrupted(stop.signal, new Promise(() => undefined));
  stop.abort();
  await expect(waiting).rejects.toThrow('aborted');
  await expect(unlessInterrupted(stop.signal, Promise.resolve())).rejects.toThrow('aborted');
});

test('work that is not interrupted ends as it does', async () => {
  const { signal } = new AbortController();
  expect(await unlessInterrupted(signal, Promise.resolve(7))).toBe(7);
  await expect(unlessInterrupted(signal, Promise.reject(new Error('no')))).rejects.toThrow('no');
});
