import { Command } from 'commander';
import { enrol } from '../enrol.ts';
import { transportOf } from '../open.ts';
import { provisioningOf, report } from './context.ts';
import type { CommandContext, Result, SharedOptions } from './context.ts';

interface EnrolOptions extends SharedOptions {
  token: string;
}

export function enrolCommand(context: CommandContext): Command {
  return new Command('enrol')
    .description('Make a key on this charger and get a certificate for it, once')
    .requiredOption('--token <token>', 'from `tidegate fleet token`; bound to this serial number')
    .option('--config <file>', 'the provisioning file (default: TIDEGATE_CHARGER, else charger.json)')
    .option('--json', 'answer in JSON')
    .addHelpText('after', '\nExamples:\n  $ tidegate-charger enrol --config charger.json --token 3f9c…')
    .action((options: EnrolOptions) => report(context, options, () => run(context, options)));
}

async function run(context: CommandContext, options: EnrolOptions): Promise<Result> {
  const provisioning = await provisioningOf(context, options);
  const transport = await transportOf(provisioning, true);
  try {
    await enrol({ provisioning, folder: provisioning.state, token: options.token, transport });
  } finally {
    transport.close();
  }
  const { serial, service } = provisioning;
  return {
    json: { serial, service, enrolled: true },
    lines: [`${serial} is enrolled with ${service}. Start it: tidegate-charger run`],
  };
}
