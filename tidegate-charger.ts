/** The `tidegate-charger` command: what runs on a charger. */
import { Command } from 'commander';
import { chargerCommands, type CommandContext } from '@tidegate/client-sdk/agent/commands';
import { endWithTheReader, explainExits, runProgram } from './command-line.ts';

export function tidegateCharger(context: CommandContext): Command {
  const program = new Command('tidegate-charger')
    .description('The Tidegate agent of one charger: enrol, run, verify an image, show its state.')
    .addHelpText(
      'after',
      `
The first minutes of a charger:
  tidegate-charger enrol --config charger.yaml --token …     once, with a token of \`tidegate fleet token\`
  tidegate-charger run --config charger.yaml                 for good
  tidegate-charger status --config charger.yaml              what it runs, holds and trusts

Exit codes: 0 done · 1 refused or failed · 2 the command line is wrong · 3 the service does not answer
An error is one line, "error <CODE>: what happened. What to do." With --json it is {"error": {"code", "message"}} on standard output.`,
    );
  for (const command of explainExits(chargerCommands(context))) program.addCommand(command);
  return program;
}

/** Runs one command line and gives its exit code; whatever went wrong has been written by then. */
export async function runTidegateCharger(args: string[], context: CommandContext): Promise<number> {
  let code = 0;
  const program = tidegateCharger({ ...context, exit: (given) => (code = given) });
  const usage = await runProgram(program, args, context);
  return usage === 0 ? code : usage;
}

if (import.meta.main) {
  endWithTheReader();
  process.exitCode = await runTidegateCharger(process.argv.slice(2), {
    out: (line) => process.stdout.write(`${line}\n`),
    err: (line) => process.stderr.write(`${line}\n`),
    json: false,
    env: process.env,
    cwd: process.cwd(),
    tty: process.stdout.isTTY,
  });
}
