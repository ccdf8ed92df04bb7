import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Account } from './account.ts';

/** Found in the command line of the guard, to tell ours from other parents. */
export const GUARD_NAME = 'tidegate-postgres-guard';

/**
 * PostgreSQL must end with the service, even when that is killed with −9 and can say nothing. The guard holds the read end
 * of a pipe whose write end only the service has: at its end the guard asks for a fast shutdown (SIGINT).
 */
const GUARD = `
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
(while read -r _ <&3; do :; done; kill -INT "$server" 2>/dev/null) &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
`;

export interface GuardedProcess {
  process: ChildProcess;
  /** Resolves with the exit status when PostgreSQL has ended. */
  ended: Promise<number | null>;
  /** Asks for a fast shutdown and waits for it. */
  stop(): Promise<void>;
}

export function spawnGuarded(
  program: string,
  args: string[],
  options: { account: Account; cwd: string; log: string },
): GuardedProcess {
  const log = openSync(options.log, 'a', 0o600);
  const child = spawn('/bin/sh', ['-c', GUARD, GUARD_NAME, program, ...args], {
    ...options.account.ids,
    cwd: options.cwd,
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    stdio: ['pipe', log, log],
    // A session of its own: Ctrl-C at the terminal is for the service, which then stops PostgreSQL last.
    detached: true,
  });
  closeSync(log);
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', (status) => resolve(status));
  });
  child.stdin?.on('error', () => undefined);
  // The service decides how long it lives; a forgotten server must not keep a finished process open.
  child.unref();
  return {
    process: child,
    ended,
    async stop() {
      child.ref();
      child.stdin?.end();
      await ended;
    },
  };
}
