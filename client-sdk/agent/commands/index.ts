/** The commands of `tidegate-charger`. */
import type { Command } from 'commander';
import type { CommandContext } from './context.ts';
import { enrolCommand } from './enrol.ts';
import { runCommand } from './run.ts';
import { statusCommand } from './status.ts';
import { verifyCommand } from './verify.ts';

export type { CommandContext } from './context.ts';
export { readProvisioning } from './provisioning-file.ts';

export function chargerCommands(context: CommandContext): Command[] {
  return [enrolCommand(context), runCommand(context), verifyCommand(context), statusCommand(context)];
}
