/** Runs a program of commands as one command line, the same way for people and for scripts. */
import { type Command, CommanderError } from 'commander';

/** Where a command line writes. */
export interface Output {
  out(line: string): void;
  err(line: string): void;
  /** Whether errors are JSON; `--json` among the arguments says so too. */
  json: boolean;
}

const EXIT_CODES =
  'Exit codes: 0 done · 1 refused or failed · 2 the command line is wrong · 3 the service does not answer';

/** Ends the help of every command with the exit codes, for the rooms that leave them to the program. */
export function explainExits(commands: Command[]): Command[] {
  for (const command of commands) {
    if (command.commands.length > 0) explainExits([...command.commands]);
    else command.addHelpText('after', `\n${EXIT_CODES}`);
  }
  return commands;
}

/** Exit code where the command line itself is wrong. */
export const USAGE = 2;

/**
 * Parses and runs; an action's own errors have been written by then, and its exit code is the action's to set.
 * A wrong command line is explained on standard error as `error USAGE: …`; with `--json` it is
 * `{"error": {"code": "USAGE", "message"}}` on standard output instead, where a script reads.
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
    if (json) output.out(JSON.stringify({ error: { code: 'USAGE', message: sentenceOf(error.message) } }));
    return USAGE;
  }
}

/** Commander ends the process by default; in a program that runs several commands only the caller may. */
function overrideExits(command: Command, output: Pick<Output, 'out' | 'err'>, path: string[] = []): void {
  const here = [...path, command.name()];
  command.exitOverride().configureOutput({
    writeOut: (text) => output.out(text.trimEnd()),
    writeErr: (text) => output.err(text.trimEnd()),
    outputError: (text, write) => {
      write(`error USAGE: ${sentenceOf(text)} Run "${here.join(' ')} --help" for its options and examples.`);
    },
  });
  for (const subcommand of command.commands) overrideExits(subcommand, output, here);
}

/** Commander begins with `error: ` and ends as it likes; a group without a subcommand has shown its help and says `(outputHelp)`. */
function sentenceOf(text: string): string {
  if (text === '(outputHelp)') return 'A subcommand is missing; --help lists them.';
  const said = text
    .trim()
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ');
  return /[.?!)]$/.test(said) ? said : `${said}.`;
}

/** Whoever reads the output may stop reading: `tidegate fleet list | head`. */
export function endWithTheReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}
