/** What every command of `tidegate-charger` shares: where it runs, how it answers, how it fails. */
import { resolve } from 'node:path';
import type { Clock } from '../../protocol/index.ts';
import { Refusal } from '../../protocol/index.ts';
import { clockFrom } from '../clock.ts';
import { readProvisioning } from './provisioning-file.ts';
import type { Provisioning } from '../provisioning.ts';

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
}

/** Options of every command. */
export interface SharedOptions {
  config?: string;
  json?: boolean;
}

/** What a command has to say, to a machine and to a person. */
export interface Result {
  json: unknown;
  lines: string[];
}

/** Exit codes: 0 done, 1 refused or failed, 3 the service does not answer; 2, a wrong command line, is the program's. */
const EXIT = { failed: 1, silent: 3 } as const;

export const clockOf = (context: CommandContext): Clock => context.clock ?? clockFrom(context.env);

/** `--config`, else `TIDEGATE_CHARGER`, else `charger.json` here. */
export function provisioningOf(context: CommandContext, { config }: SharedOptions): Promise<Provisioning> {
  return readProvisioning(resolve(context.cwd, config ?? context.env['TIDEGATE_CHARGER'] ?? 'charger.json'));
}

/**
 * Runs a command's work and writes its result, or its error. An error goes to standard error; with `--json` it is
 * `{"error": {"code", "message"}}` on standard output instead, where a script reads.
 */
export async function report(
  context: CommandContext,
  options: SharedOptions,
  work: () => Promise<Result>,
): Promise<void> {
  const json = context.json || options.json === true;
  try {
    const result = await work();
    if (json) context.out(JSON.stringify(result.json));
    else for (const line of result.lines) context.out(line);
  } catch (error) {
    const message =
      error instanceof Refusal ? error.sentence : error instanceof Error ? error.message : String(error);
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'FAILED';
    if (json) context.out(JSON.stringify({ error: { code, message } }));
    else context.err(`error ${code}: ${message}`);
    const silent = error instanceof Refusal && error.code === 'SERVICE_UNREACHABLE';
    const exit = silent ? EXIT.silent : EXIT.failed;
    if (context.exit) context.exit(exit);
    else process.exitCode = exit;
  }
}
