/** The `tidegate` command: every room's commands as one program. */
import { Command } from 'commander';
import { operatorCommands } from '@tidegate/server/operator/commands';
import { serviceCommands } from '@tidegate/server/start/commands';
import { signerCommands, type CommandContext } from '@tidegate/signer/commands';
import { endWithTheReader, explainExits, runProgram } from './command-line.ts';

/** The program with everything mounted; a room may add subcommands to another's group, such as `release list` to `release`. */
export function tidegate(context: CommandContext): Command {
  const program = new Command('tidegate')
    .description(
      'Signed firmware to EV chargers: in waves, behind approvals, and back by itself when alarms spike.',
    )
    .addHelpText(
      'after',
      `
The way of a release:
  tidegate init                                      a development ceremony: keys, people, a first repository
  tidegate product add acme.dc150 --hardware dc150-r2
  tidegate start                                     the service, in a terminal of its own
  tidegate sign fw.raucb …                           what the build says of the image
  tidegate release propose fw.raucb … , cosign       what two release engineers say of it
  tidegate publish                                   to the service, which verifies all of it again
  tidegate rollout create … , approve , watch        to the fleet, in waves
Keys, people, products and rules change by:
  tidegate ceremony start , sign , finish            a file that goes from signer to signer, each on their own machine

Exit codes: 0 done · 1 refused or failed · 2 the command line is wrong · 3 the service does not answer
An error is one line, "error <CODE>: what happened. What to do." With --json it is {"error": {"code", "message"}} on standard output.`,
    );
  for (const command of [
    ...explainExits(signerCommands(context)),
    ...operatorCommands(context),
    ...serviceCommands(context),
  ]) {
    mount(program, command);
  }
  return program;
}

function mount(program: Command, command: Command): void {
  const group = program.commands.find((existing) => existing.name() === command.name());
  if (group === undefined) {
    program.addCommand(command);
    return;
  }
  for (const subcommand of command.commands) {
    // A higher room knows more: its `release list` takes the place of the signer's.
    const taken = group.commands.findIndex((existing) => existing.name() === subcommand.name());
    if (taken >= 0) (group.commands as Command[]).splice(taken, 1);
    group.addCommand(subcommand);
  }
}

/** Runs one command line and gives its exit code; whatever went wrong has been written by then. */
export async function runTidegate(args: string[], context: CommandContext): Promise<number> {
  let code = 0;
  const program = tidegate({ ...context, exit: (given) => (code = given) });
  const usage = await runProgram(program, args, context);
  return usage === 0 ? code : usage;
}

if (import.meta.main) {
  endWithTheReader();
  process.exitCode = await runTidegate(process.argv.slice(2), {
    out: (line) => process.stdout.write(`${line}\n`),
    err: (line) => process.stderr.write(`${line}\n`),
    json: false,
    env: process.env,
    cwd: process.cwd(),
    tty: process.stdout.isTTY,
  });
}
