import { spawnSync } from 'node:child_process';
import { userInfo } from 'node:os';
import { DatabaseError } from '../errors.ts';

/** The system user that PostgreSQL runs as. */
export interface Account {
  name: string;
  /** What `spawn` needs to become it; empty when that is who we are. */
  ids: { uid?: number; gid?: number };
}

const OWN_USER = 'tidegate';
/** Users that serve where ours can neither be found nor made, e.g. on a read-only /etc. */
const OTHER_USERS = ['postgres', 'nobody'];

/** PostgreSQL refuses to run as root; there it gets a system user of its own. */
export function postgresAccount(): Account {
  if (process.getuid?.() !== 0) return { name: userInfo().username, ids: {} };
  const account = lookUp(OWN_USER) ?? create(OWN_USER) ?? OTHER_USERS.map(lookUp).find(Boolean);
  if (account === undefined) throw new DatabaseError('POSTGRES_USER', 'The service runs as root.');
  return account;
}

/** Whether the account can enter `folder`, asked by trying. */
export function canEnter(account: Account, folder: string): boolean {
  if (account.ids.uid === undefined) return true;
  return spawnSync('/bin/sh', ['-c', 'cd -- "$1"', 'sh', folder], { ...account.ids, cwd: '/' }).status === 0;
}

function lookUp(name: string): Account | undefined {
  const uid = id('-u', name);
  const gid = id('-g', name);
  return uid === undefined || gid === undefined || uid === 0 ? undefined : { name, ids: { uid, gid } };
}

function id(flag: '-u' | '-g', name: string): number | undefined {
  const { status, stdout } = spawnSync('id', [flag, name], { encoding: 'utf8' });
  return status === 0 ? Number(stdout) : undefined;
}

function create(name: string): Account | undefined {
  spawnSync('useradd', [
    '--system',
    '--user-group',
    '--no-create-home',
    '--shell',
    '/usr/sbin/nologin',
    name,
  ]);
  // Looked up whatever useradd said: another process may have made the user at the same moment.
  return lookUp(name);
}
