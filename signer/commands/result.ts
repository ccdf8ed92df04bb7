import type { CommandContext } from './context.ts';
import { explain } from './errors.ts';

/** What a command has to say, to a machine and to a person. */
export interface Result {
  json: unknown;
  lines: string[];
}

/**
 * Runs a command's work and writes its result, or its error with code and exit code. An error goes to standard error; with
 * `--json` it is `{"error": {"code", "message"}}` on standard output instead, where a script reads.
 */
export async function report(
  context: CommandContext,
  options: { json?: boolean },
  work: () => Promise<Result>,
): Promise<void> {
  const json = context.json || options.json === true;
  try {
    const result = await work();
    if (json) context.out(JSON.stringify(result.json));
    else for (const line of result.lines) context.out(line);
  } catch (error) {
    const { code, message, exit } = explain(error);
    if (json) context.out(JSON.stringify({ error: { code, message } }));
    else context.err(`error ${code}: ${message}`);
    if (context.exit) context.exit(exit);
    else process.exitCode = exit;
  }
}
