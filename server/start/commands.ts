/** The commands of whoever runs the service on its machine. */
import type { Command } from 'commander';
import type { CommandContext } from '@tidegate/signer/commands';
import { startCommand } from './command.ts';
import { destroyCommand } from './destroy-command.ts';

export function serviceCommands(context: CommandContext): Command[] {
  return [startCommand(context), destroyCommand(context)];
}
