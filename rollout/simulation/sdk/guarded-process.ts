import { type ChildProcess, spawn } from 'node:child_process';

/**
 * A program that must end with this process, even when that is killed with −9 and can say nothing. The guard holds the read end of a
 * pipe whose write end only this process has: at its end the guard asks the program to stop, and then unmounts what it left mounted.
 */
const GUARD = `
mounted=$1
shift
exec 3<&0 </dev/null
"$@" 3<&- &
program=$!
(while read -r _ <&3; do :; done; kill -TERM "$program" 2>/dev/null) &
watcher=$!
exec 3<&-
wait "$program"
status=$?
kill "$watcher" 2>/dev/null
if [ -n "$mounted" ]; then umount -l "$mounted" 2>/dev/null; fi
exit "$status"
`;

export interface GuardedProcess {
  /** Whether it runs still. */
  readonly runs: boolean;
  /** Asks it to stop, and resolves when it has. */
  stop(): Promise<void>;
}

export interface GuardedOptions {
  env?: NodeJS.ProcessEnv;
  /** Where the program mounts something while it works; unmounted when it has ended. */
  mountPoint?: string;
}

/** Starts a program whose output nobody needs; one that cannot be started has ended at once. */
export function spawnGuarded(
  program: string,
  args: readonly string[],
  { env = process.env, mountPoint = '' }: GuardedOptions = {},
): GuardedProcess {
  const child: ChildProcess = spawn(
    '/bin/sh',
    ['-c', GUARD, 'tidegate-guard', mountPoint, program, ...args],
    {
      env,
      stdio: ['pipe', 'ignore', 'ignore'],
      // A session of its own: Ctrl-C at the terminal is for this process, which then ends its programs in their order.
      detached: true,
    },
  );
  let runs = true;
  const ended = new Promise<void>((resolve) => {
    const end = (): void => {
      runs = false;
      resolve();
    };
    child.once('error', end);
    child.once('exit', end);
  });
  child.stdin?.on('error', () => undefined);
  return {
    get runs() {
      return runs;
    },
    async stop() {
      child.stdin?.end();
      await ended;
    },
  };
}
