import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { migrate } from '../migrate.ts';
import { openDatabase } from '../open.ts';
import { removeEmbeddedPostgres, startEmbeddedPostgres } from './index.ts';
import { postgresAccount } from './account.ts';
import { settle } from './place.ts';

let root: string;
let folder: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tidegate embedded '));
  folder = join(root, 'state', 'postgres');
});

afterEach(async () => {
  await removeEmbeddedPostgres(folder);
  await rm(root, { recursive: true, force: true });
});

test('keeps its data over a stop, in a path with a space, under a home that only its owner enters', async () => {
  await chmod(root, 0o700);
  const first = await startEmbeddedPostgres(folder);
  await write(first.url, 'before');
  await first.stop();
  const second = await startEmbeddedPostgres(folder);
  expect(await read(second.url)).toEqual(['before']);
  await second.stop();
});

test('a path too long for a socket takes a socket elsewhere, and leaves nothing there', async () => {
  await chmod(root, 0o755);
  folder = join(root, 'x'.repeat(90), 'postgres');
  const account = postgresAccount();
  await mkdir(join(root, 'x'.repeat(90)), { mode: 0o755 });
  const place = await settle(folder, account);
  expect(place.temporarySocket).toBe(true);
  await rm(place.socket, { recursive: true });
  const postgres = await startEmbeddedPostgres(folder);
  const socket = new URL(postgres.url.replace('@/', '@x/')).searchParams.get('host') ?? '';
  expect((await readdir(socket)).length).toBeGreaterThan(0);
  await postgres.stop();
  await expect(stat(socket)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('only the service gets in: a private folder, no network, no other role', async () => {
  const postgres = await startEmbeddedPostgres(folder);
  const socket = new URL(postgres.url.replace('@/', '@x/')).searchParams.get('host') ?? '';
  expect((await stat(socket)).mode & 0o777).toBe(0o700);
  const db = openDatabase(postgres.url);
  const { rows } = await sql<{ addresses: string; fsync: string; user: string }>`
    select current_setting('listen_addresses') as addresses, current_setting('fsync') as fsync,
      session_user as user`.execute(db);
  expect(rows).toEqual([{ addresses: '', fsync: 'on', user: 'tidegate' }]);
  await sql`create role intruder login`.execute(db);
  await db.destroy();
  const other = openDatabase(postgres.url.replace('tidegate@', 'intruder@'));
  await expect(migrate(other)).rejects.toMatchObject({
    code: 'DATABASE_UNREACHABLE',
    cause: { code: '28000' },
  });
  await other.destroy();
  await postgres.stop();
});

test('kill -9 of the service takes PostgreSQL down, and the next start finds what was committed', async () => {
  const holder = spawn(process.execPath, [
    join(import.meta.dirname, '../../../test/support/postgres-holder.ts'),
    folder,
  ]);
  const [line] = (await once(holder.stdout, 'data')) as [Buffer];
  await write(line.toString().trim(), 'acknowledged');
  const pid = await postmasterOf(folder);
  holder.kill('SIGKILL');
  const next = await startEmbeddedPostgres(folder);
  expect(await read(next.url)).toEqual(['acknowledged']);
  expect(await postmasterOf(folder)).not.toBe(pid);
  await vanished(pid);
  await next.stop();
});

test('a second service on the same folder is refused while the first lives', async () => {
  const first = await startEmbeddedPostgres(folder);
  await expect(startEmbeddedPostgres(folder, { patienceMs: 100 })).rejects.toMatchObject({
    code: 'POSTGRES_IN_USE',
  });
  await write(first.url, 'unharmed');
  await first.stop();
});

test('a postmaster.pid that names somebody else does not stop the start', async () => {
  const first = await startEmbeddedPostgres(folder);
  await first.stop();
  const { data } = await settle(folder, postgresAccount());
  await writeFile(join(data, 'postmaster.pid'), `${process.pid}\n${data}\n`);
  const second = await startEmbeddedPostgres(folder);
  await second.stop();
});

test('an initialisation cut short is begun again', async () => {
  const { data } = await settle(folder, postgresAccount());
  await mkdir(`${data}.new`, { recursive: true });
  await writeFile(join(`${data}.new`, 'PG_VERSION'), '18\n');
  const postgres = await startEmbeddedPostgres(folder);
  await postgres.stop();
});

async function write(url: string, word: string): Promise<void> {
  const db = openDatabase(url);
  await sql`create table if not exists words (word text)`.execute(db);
  await sql`insert into words values (${word})`.execute(db);
  await db.destroy();
}

async function read(url: string): Promise<string[]> {
  const db = openDatabase(url);
  const { rows } = await sql<{ word: string }>`select word from words`.execute(db);
  await db.destroy();
  return rows.map(({ word }) => word);
}

async function postmasterOf(state: string): Promise<number> {
  const { data } = await settle(state, postgresAccount());
  return Number.parseInt(await readFile(join(data, 'postmaster.pid'), 'utf8'), 10);
}

async function vanished(pid: number): Promise<void> {
  for (;;) {
    const alive = await stat(`/proc/${pid}`).then(
      () => true,
      () => false,
    );
    if (!alive) return;
    await sleep(20);
  }
}
