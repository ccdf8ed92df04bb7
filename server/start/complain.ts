import type { CommandContext } from '@tidegate/signer/commands';

/** Writes an error as every command does, and sets exit code 1. */
export function complain(context: CommandContext, error: unknown, json: boolean): void {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'FAILED';
  const message = error instanceof Error ? error.message : String(error);
  if (json) context.out(JSON.stringify({ error: { code, message } }));
  else context.err(`error ${code}: ${message}`);
  if (context.exit === undefined) process.exitCode = 1;
  else context.exit(1);
}
