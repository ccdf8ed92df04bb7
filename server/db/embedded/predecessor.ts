import { readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError } from '../errors.ts';
import { GUARD_NAME } from './guard.ts';

/** A fast shutdown takes well under a second; a machine under load may need longer. */
const PATIENCE_MS = 15_000;

/**
 * Waits for the PostgreSQL of a service that was killed: its guard is already shutting it down. One whose guard was killed
 * as well is asked here. A `postmaster.pid` that names no PostgreSQL of these data is a leftover (after a reboot the number
 * may belong to anybody) and would keep the next from starting, so it is removed.
 */
export async function awaitPredecessor(data: string, patienceMs: number = PATIENCE_MS): Promise<void> {
  const until = Date.now() + patienceMs;
  let asked = false;
  for (;;) {
    const pid = await postmaster(data);
    if (pid === undefined) return;
    if (!(await servesThese(pid, data))) {
      await rm(join(data, 'postmaster.pid'), { force: true });
      return;
    }
    if (!asked && !(await isGuarded(pid))) {
      asked = true;
      try {
        process.kill(pid, 'SIGINT');
      } catch (error) {
        // It ended this very moment, as it was to.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    if (Date.now() > until) {
      throw new DatabaseError('POSTGRES_IN_USE', `Process ${pid} serves ${data}.`);
    }
    await sleep(50);
  }
}

async function postmaster(data: string): Promise<number | undefined> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number.parseInt(text, 10);
  return Number.isInteger(pid) && pid > 0 ? pid : undefined;
}

/** PostgreSQL works in its data folder. */
async function servesThese(pid: number, data: string): Promise<boolean> {
  const [name, folder] = await Promise.all([
    readFile(`/proc/${pid}/comm`, 'utf8').catch(() => ''),
    readlink(`/proc/${pid}/cwd`).catch(() => ''),
  ]);
  return name.trim() === 'postgres' && folder === data;
}

async function isGuarded(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const parent = /^PPid:\s*(\d+)$/m.exec(status)?.[1];
  if (parent === undefined) return false;
  const commandLine = await readFile(`/proc/${parent}/cmdline`, 'utf8').catch(() => '');
  return commandLine.includes(GUARD_NAME);
}
