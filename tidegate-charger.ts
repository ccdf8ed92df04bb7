/** The `tidegate-charger` command: what runs on a charger. */
import { Command } from 'commander';
import { chargerCommands, type CommandContext } from '@tidegate/client-sdk/agent/commands';

export function tidegateCharger(context: CommandContext): Command {
  const program = new Command('tidegate-charger')
    .description('The Tidegate agent of one charger: enrol, run, verify an image, show its state.')
    .showHelpAfterError('Run the command with --help for its options and examples.');
  for (const command of chargerCommands(context)) program.addCommand(command);
  return program;
}

if (import.meta.main) {
  await tidegateCharger({
    out: (line) => process.stdout.write(`${line}\n`),
    err: (line) => process.stderr.write(`${line}\n`),
    json: false,
    env: process.env,
    cwd: process.cwd(),
    tty: process.stdout.isTTY,
  }).parseAsync();
}
