/** The `tidegate` command: every room's commands as one program. */
import { Command, CommanderError } from 'commander';
import { operatorCommands } from '@tidegate/server/operator/commands';
import { startCommand } from '@tidegate/server/start';
import { signerCommands, type CommandContext } from '@tidegate/signer/commands';

const USAGE = 2;

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

Exit codes: 0 done, 1 refused or failed (the message carries a code), 2 wrong usage, 3 the service does not answer.`,
    )
    .showHelpAfterError('Run the command with --help for its options and examples.');
  for (const command of [...signerCommands(context), ...operatorCommands(context), startCommand(context)]) {
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
  overrideExits(program, context);
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    throw error;
  }
}

/** Commander ends the process by default; in a program that runs several commands only the caller may. */
function overrideExits(command: Command, context: CommandContext): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => context.out(text.trimEnd()),
    writeErr: (text) => context.err(text.trimEnd()),
  });
  for (const subcommand of command.commands) overrideExits(subcommand, context);
}

if (import.meta.main) {
  // Whoever reads the output may stop reading: `tidegate fleet list | head`.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
  process.exitCode = await runTidegate(process.argv.slice(2), {
    out: (line) => process.stdout.write(`${line}\n`),
    err: (line) => process.stderr.write(`${line}\n`),
    json: false,
    env: process.env,
    cwd: process.cwd(),
    tty: process.stdout.isTTY,
  });
}
