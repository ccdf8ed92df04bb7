import { spawn } from 'node:child_process';
import { access, rename, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { DatabaseError } from '../errors.ts';
import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';
import type { Place } from './place.ts';

/** The one database role; it owns everything. */
export const DATABASE_USER = 'tidegate';

/** Makes the data folder if there is none: aside, then renamed, so that one cut short is never taken for a whole one. */
export async function initialise(place: Place, binaries: Binaries, account: Account): Promise<void> {
  if (!(await exists(join(place.data, 'PG_VERSION')))) {
    const aside = `${place.data}.new`;
    await rm(aside, { recursive: true, force: true });
    await initdb(binaries.initdb, aside, account);
    await rename(aside, place.data);
  }
  await writeAccessRules(place.data);
}

async function initdb(program: string, data: string, account: Account): Promise<void> {
  const access = ['--auth-local=peer', '--auth-host=reject'];
  const args = ['-D', data, '-U', DATABASE_USER, '-E', 'UTF8', '--locale=C', ...access, '--no-instructions'];
  const child = spawn(program, args, {
    ...account.ids,
    cwd: '/',
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const status = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (status !== 0) throw new DatabaseError('POSTGRES_FAILED', `initdb: ${complaint.trim().slice(-500)}`);
}

/**
 * Only the service's own system user gets in, by the kernel's word for who is at the other end of the socket: no password
 * to lose, and nothing for other local users even if they reached the socket.
 */
async function writeAccessRules(data: string): Promise<void> {
  const serviceUser = userInfo().username.replaceAll('"', '""');
  await writeFile(join(data, 'pg_ident.conf'), `service "${serviceUser}" ${DATABASE_USER}\n`);
  await writeFile(join(data, 'pg_hba.conf'), 'local all all peer map=service\n');
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
