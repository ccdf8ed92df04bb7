import type { Readable, Writable } from 'node:stream';
import type { Clock } from '@tidegate/client-sdk/protocol';
import { clockFrom } from '@tidegate/client-sdk/agent/clock';
import type { ScryptCost } from '../keys/index.ts';

/** What a command knows of the place where it runs. */
export interface CommandContext {
  /** One line of the result, to standard output. */
  out(line: string): void;
  /** One line of advice or trouble, to standard error. */
  err(line: string): void;
  /** Whether `--json` was given before the command's name; each command takes it too. */
  json: boolean;
  env: Record<string, string | undefined>;
  /** Relative paths start here. */
  cwd: string;
  tty: boolean;
  /** Sets the exit code; the process's own when left out. */
  exit?: (code: number) => void;
  /** Default: what `TIDEGATE_FLEET_CLOCK` names, else the machine's. */
  clock?: Clock;
  /** Where a person is asked; the process's own terminal when left out. */
  prompt?: { input: Readable; output: Writable };
  /** Cost of new key files; for tests. */
  scryptCost?: ScryptCost;
}

/** Milliseconds since the epoch, by which metadata expires: the fleet's time. */
export function now(context: CommandContext): number {
  return (context.clock ?? clockFrom(context.env)).now();
}
