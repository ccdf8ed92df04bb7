import { Command } from 'commander';
import { diskFiles } from '../../trust/index.ts';
import type { SlotStatus } from '../../install/index.ts';
import { freshState, readState } from '../memory.ts';
import { trustAge } from '../offline.ts';
import { identityOf, installerOf } from '../open.ts';
import { progressOf } from '../state.ts';
import { clockOf, provisioningOf, report } from './context.ts';
import type { CommandContext, Result, SharedOptions } from './context.ts';

export function statusCommand(context: CommandContext): Command {
  return new Command('status')
    .description('What this charger runs, holds and trusts; asks nobody')
    .option('--config <file>', 'the provisioning file (default: TIDEGATE_CHARGER, else charger.json)')
    .option('--json', 'answer in JSON')
    .addHelpText('after', '\nExamples:\n  $ tidegate-charger status --json')
    .action((options: SharedOptions) => report(context, options, () => status(context, options)));
}

async function status(context: CommandContext, options: SharedOptions): Promise<Result> {
  const provisioning = await provisioningOf(context, options);
  const identity = await identityOf(provisioning);
  const installer = await installerOf(provisioning.installer, provisioning.factory);
  const slots = await installer.status();
  const state =
    (await readState(diskFiles(provisioning.state))) ??
    freshState(slots.booted.image ?? provisioning.factory, provisioning.securityFloor);
  const trust = await trustAge(identity, provisioning.state, clockOf(context));
  const { committed, floor, job } = state;
  const { booted, inactive, trial, activated } = slots;
  return {
    json: {
      serial: provisioning.serial,
      product: provisioning.product,
      committed,
      floor,
      slots: { installer: installer.name, booted, inactive, trial, activated },
      assignment: job && {
        assignment: job.assignment,
        progress: progressOf(job),
        code: job.code,
        detail: job.detail,
      },
      trust: trust ?? null,
    },
    lines: [
      `${provisioning.serial}  ${provisioning.product} on ${provisioning.hardware}`,
      `runs       ${describe(booted)}${trial ? ', on trial' : ''}`,
      `other slot ${describe(inactive)}${activated ? ', boots next' : inactive.bootable ? '' : ', not bootable'}`,
      `committed  ${committed.version}, security version ${committed.securityVersion}, floor ${floor}`,
      `update     ${job ? `${job.assignment} ${progressOf(job)}${job.detail === null ? '' : `: ${job.detail}`}` : 'none'}`,
      `trust      ${trust ? `as of ${trust.asOf}${trust.expired ? ', expired' : ''}` : 'nothing kept yet'}`,
    ],
  };
}

function describe({ name, image }: SlotStatus): string {
  return image ? `${image.version} in slot ${name}` : `slot ${name}, nothing on record`;
}
