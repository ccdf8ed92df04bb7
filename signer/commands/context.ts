import type { Clock } from '@tidegate/client-sdk/protocol';
import type { ScryptCost } from '../keys/index.ts';

/** What a command knows of the place where it runs. */
export interface CommandContext {
  /** Writes one line of result. */
  out(line: string): void;
  /** Writes one line of trouble or advice. */
  err(line: string): void;
  /** Answers in JSON whatever the flags; each command has `--json` too. */
  json: boolean;
  env: Record<string, string | undefined>;
  /** Paths on the command line are relative to it. */
  cwd: string;
  tty: boolean;
  /** Default: what `TIDEGATE_FLEET_CLOCK` names, else the machine's. */
  clock?: Clock;
  /** Cost of new key files; for tests. */
  scryptCost?: ScryptCost;
}
