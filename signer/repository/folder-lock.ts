/** One process at a time, held by the kernel: whoever dies lets go at once, so nothing is ever taken over from the dead. */
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';

/** SQLite's result code for a lock that somebody else holds. sqlite.org/rescode.html#busy */
const SQLITE_BUSY = 5;
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 20;

/**
 * Runs work while no other process, and nobody else in this one, does so under the same file.
 *
 * Node has no `flock`. SQLite has: a transaction that writes nothing holds `fcntl` locks on its file, which end with the process however it ends, hold
 * between containers that share a folder, and need no process id to be judged. The file stays empty, and is never removed.
 */
export function folderLock(path: string): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    // Callers of this process queue up, in the order of their calls, and only the first asks the kernel.
    const mine = last.then(() => whileLocked(path, work));
    last = mine.catch(() => undefined);
    return mine;
  };
}

async function whileLocked<T>(path: string, work: () => Promise<T>): Promise<T> {
  const file = new DatabaseSync(path);
  try {
    for (let pause = FIRST_PAUSE_MS; !lock(file); pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      await sleep(pause * (0.5 + Math.random()));
    }
    return await work();
  } finally {
    // Closing rolls back, and lets go.
    file.close();
  }
}

function lock(file: DatabaseSync): boolean {
  try {
    file.exec('BEGIN IMMEDIATE');
    return true;
  } catch (error) {
    if ((error as { errcode?: unknown }).errcode === SQLITE_BUSY) return false;
    throw error;
  }
}
