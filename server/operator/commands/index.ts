/**
 * What operators and release engineers type against the service.
 *
 * - `operatorCommands(context): Command[]`: `site`, `fleet`, `product`, `publish`, `release`, `repository`, `rollout`, `operator`, `audit`, `alarms`. A failed command
 *   has written its error and set the exit code: 1 refused or failed, 2 the command line is wrong, 3 the service does not answer.
 */
import type { Command } from 'commander';
import type { CommandContext } from './context.ts';
import { alarmsCommand } from './alarms.ts';
import { fleetCommand } from './fleet.ts';
import { auditCommand, operatorCommand } from './people.ts';
import { productCommand } from './products.ts';
import { publishCommand } from './publish.ts';
import { releaseCommand } from './releases.ts';
import { repositoryCommand } from './repository.ts';
import { rolloutCommand } from './rollouts.ts';
import { simulateCommand } from './simulate-command.ts';
import { siteCommand } from './sites.ts';

export function operatorCommands(context: CommandContext): Command[] {
  return [
    siteCommand(context),
    fleetCommand(context).addCommand(simulateCommand(context)),
    productCommand(context),
    publishCommand(context),
    releaseCommand(context),
    repositoryCommand(context),
    rolloutCommand(context),
    operatorCommand(context),
    auditCommand(context),
    alarmsCommand(context),
  ];
}

export { type CommandContext, CommandError, EXIT } from './context.ts';
export { clip, columnsOf } from './clip.ts';
export { serviceClient, type ServiceClient } from './client.ts';
export { type Credential, loadCredential } from './credential.ts';
