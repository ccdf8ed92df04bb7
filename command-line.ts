/** Runs a program of commands as one command line, the same way for people and for scripts. */
import { type Command, CommanderError } from 'commander';

/** Where a command line writes. */
export interface Output {
  out(line: string): void;
  err(line: string): void;
  /** Whether errors are JSON; `--json` among the arguments says so too. */
  json: boolean;
}

/** Exit code where the command line itself is wrong. */
export const USAGE = 2;

/**
 * Parses and runs; an action's own errors have been written by then, and its exit code is the action's to set.
 * A wrong command line is explained on standard error; with `--json` it is `{"error": {"code": "USAGE", "message"}}` on standard
 * output instead, where a script reads.
 * @returns `USAGE` where the command line is wrong, else 0
 */
export async function runProgram(program: Command, args: string[], output: Output): Promise<number> {
  const json = output.json || args.includes('--json');
  overrideExits(program, json ? { ...output, err: () => undefined } : output);
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    if (json) output.out(JSON.stringify({ error: { code: 'USAGE', message: messageOf(error) } }));
    return USAGE;
  }
}

/** Commander ends the process by default; in a program that runs several commands only the caller may. */
function overrideExits(command: Command, output: Pick<Output, 'out' | 'err'>): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => output.out(text.trimEnd()),
    writeErr: (text) => output.err(text.trimEnd()),
  });
  for (const subcommand of command.commands) overrideExits(subcommand, output);
}

/** A group without a subcommand shows its help, which commander reports as no message at all. */
function messageOf({ code, message }: CommanderError): string {
  return code === 'commander.help' ? 'A subcommand is missing; --help lists them.' : message;
}

/** Whoever reads the output may stop reading: `tidegate fleet list | head`. */
export function endWithTheReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}
