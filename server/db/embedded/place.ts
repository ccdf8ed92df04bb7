import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Account, canEnter } from './account.ts';

/** Where root's PostgreSQL keeps what its own user could not reach in a private home. */
export const SHARED_HOME = '/var/lib/tidegate';

/** A Unix socket's address holds 107 bytes; PostgreSQL adds `/.s.PGSQL.5432`. */
const LONGEST_SOCKET_FOLDER = 90;
/** `unix_socket_directories` is a list with quoting rules; names outside this alphabet take the temporary folder. */
const PLAIN_PATH = /^[\w/.@+ -]+$/;

export interface Place {
  /** Private to the account; holds `data` and `postgres.log`. */
  home: string;
  data: string;
  log: string;
  /** Private to the account; holds the socket. */
  socket: string;
  /** Whether the socket's folder is a temporary one, to be removed at the end. */
  temporarySocket: boolean;
}

/**
 * Settles where data and socket lie: in `folder` if the account can get there, else below `SHARED_HOME` under a random
 * name that `folder` records, so that a new state folder at an old path never finds somebody else's data.
 */
export async function settle(folder: string, account: Account): Promise<Place> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const home = canEnter(account, dirname(folder)) ? folder : await elsewhere(folder);
  await makePrivate(home, account);
  const inHome = join(home, 'socket');
  const fits = Buffer.byteLength(inHome) <= LONGEST_SOCKET_FOLDER && PLAIN_PATH.test(inHome);
  const socket = fits ? inHome : await mkdtemp(join(shortTemporaryFolder(), 'tidegate-pg-'));
  await makePrivate(socket, account);
  return { home, data: join(home, 'data'), log: join(home, 'postgres.log'), socket, temporarySocket: !fits };
}

async function elsewhere(folder: string): Promise<string> {
  const known = await recorded(folder);
  if (known !== undefined) return known;
  const record = join(folder, RECORD);
  const id = randomBytes(16).toString('hex');
  await writeFile(record, id, { mode: 0o600, flush: true });
  return join(SHARED_HOME, 'data', id);
}

async function makePrivate(folder: string, account: Account): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  await chmod(folder, 0o700);
  const { uid, gid } = account.ids;
  if (uid !== undefined && gid !== undefined) await chown(folder, uid, gid);
}

function shortTemporaryFolder(): string {
  return Buffer.byteLength(tmpdir()) < LONGEST_SOCKET_FOLDER - 24 && PLAIN_PATH.test(tmpdir())
    ? tmpdir()
    : '/tmp';
}

const RECORD = 'elsewhere';

/** Where the data of this folder lie when they are not in it, or undefined. */
export async function recorded(folder: string): Promise<string | undefined> {
  const known = await readFile(join(folder, RECORD), 'utf8').catch(() => '');
  return /^[0-9a-f]{32}$/.test(known) ? join(SHARED_HOME, 'data', known) : undefined;
}

/** Removes whatever the embedded PostgreSQL of this folder keeps, also what lies elsewhere. It must have ended. */
export async function removeData(folder: string): Promise<void> {
  const known = await recorded(folder);
  if (known !== undefined) await rm(known, { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
}
