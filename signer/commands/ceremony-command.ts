import { Command } from 'commander';
import { ceremonyFinishCommand } from './ceremony-finish.ts';
import { ceremonySignCommand } from './ceremony-sign.ts';
import { ceremonyStartCommand } from './ceremony-start.ts';
import { ceremonyStatusCommand } from './ceremony-status.ts';
import type { CommandContext } from './context.ts';

export function ceremonyCommand(context: CommandContext): Command {
  return new Command('ceremony')
    .description(
      'Change who may do what: keys, people, thresholds, products, rules; each signer on their own machine',
    )
    .addCommand(ceremonyStartCommand(context))
    .addCommand(ceremonySignCommand(context))
    .addCommand(ceremonyStatusCommand(context))
    .addCommand(ceremonyFinishCommand(context));
}
