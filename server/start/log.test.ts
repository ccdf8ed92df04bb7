import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sql } from 'kysely';
import { testDatabase } from '../../test/support/postgres.ts';
import { openDatabase } from '../db/index.ts';
import { openLog } from './log.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate-log-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function linesOf(file: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(file, 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('a lost database connection is told in a few words, without the client that was lost', async () => {
  const file = join(folder, 'lost');
  const log = openLog(file);
  const { url } = await testDatabase();
  const { promise: lost, resolve } = Promise.withResolvers<void>();
  const db = openDatabase(url, {
    connections: 1,
    onLostConnection: (error) => {
      log.warn({ err: error }, 'lost');
      resolve();
    },
  });
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db);
  const other = openDatabase(url, { connections: 1 });
  await sql`select pg_terminate_backend(${rows[0]?.pid})`.execute(other);
  await lost;
  await Promise.all([db.destroy(), other.destroy()]);
  for (const { err, msg } of await linesOf(file)) {
    expect(msg).toBe('lost');
    const fields = ['type', 'code', 'message', 'stack', 'cause'];
    expect(Object.keys(err as object).filter((key) => !fields.includes(key))).toEqual([]);
    expect(JSON.stringify(err).length).toBeLessThan(5_000);
  }
});

test('what hangs on an error is not told, at any depth; its causes are', async () => {
  const file = join(folder, 'deep');
  const root = Object.assign(new Error('refused'), {
    code: '23505',
    detail: 'Key (name)=(hunter2) exists.',
    client: { connectionParameters: { host: 'db', password: 'hunter2', nested: { deeper: 'hunter2' } } },
  });
  const log = openLog(file);
  log.error({ err: new Error('outer', { cause: new Error('middle', { cause: root }) }) }, 'failed');
  log.error({ err: 'no error at all', credential: 'hunter2', deps: { token: 'hunter2' } }, 'failed');
  const text = await readFile(file, 'utf8');
  expect(text).not.toContain('hunter2');
  const [first] = await linesOf(file);
  expect(first).toMatchObject({
    err: { message: 'outer', cause: { message: 'middle', cause: { message: 'refused', code: '23505' } } },
  });
});

test('a circle of causes ends', async () => {
  const file = join(folder, 'circle');
  const error = new Error('round');
  error.cause = error;
  openLog(file).error({ err: error }, 'failed');
  expect(await linesOf(file)).toHaveLength(1);
});
