import path from 'node:path';
import type { Command } from 'commander';
import { type CommandContext, CommandError, EXIT } from './context.ts';
import { wholeNumber } from './options.ts';
import { type CommonOptions, newCommand, run } from './run.ts';
import { seedOf, simulateFleet } from './simulate.ts';

type Options = CommonOptions & {
  product: string;
  hardware: string;
  factory: string;
  chargers: number;
  sites: number;
  seed?: string;
  folder: string;
  root: string;
  scenario?: string;
  healthBin: number;
};

/** `fleet simulate`: runs until it is interrupted. */
export function simulateCommand(context: CommandContext): Command {
  return newCommand('simulate', 'Run simulated chargers with the real SDK, until Ctrl-C', [
    'fleet simulate --product acme.dc150 --hardware dc150-r2 --factory 1.0.0 --chargers 20',
    'fleet simulate --product acme.dc150 --hardware dc150-r2 --factory 1.0.0 --chargers 60 --sites 8 --seed 7',
  ])
    .requiredOption('--product <id>', 'product, e.g. acme.dc150')
    .requiredOption('--hardware <id>', 'hardware, e.g. dc150-r2')
    .requiredOption('--factory <version>', 'published release that they run at first')
    .option('--chargers <n>', 'how many', wholeNumber('--chargers'), 20)
    .option('--sites <n>', 'at how many sites', wholeNumber('--sites'), 4)
    .option('--seed <text>', 'of their faults and sessions (default: follows from the folder)')
    .option('--folder <folder>', 'where they keep their state', '.tidegate/simulated')
    .option(
      '--root <file>',
      'root.json that they are provisioned with',
      '.tidegate/service/initial/1.root.json',
    )
    .option(
      '--scenario <file>',
      'JSON {faultsPerDay, storms: [{from, to, factor}], faultFactors: {sha256: factor}}',
    )
    .option('--health-bin <seconds>', 'time that one health report covers', wholeNumber('--health-bin'), 900)
    .action(({ credential: file, factory, ...options }: Options) =>
      run(
        context,
        { ...options, ...(file === undefined ? {} : { credential: file }) },
        async ({ credential }) => {
          if (options.chargers < 1 || options.sites < 1) {
            throw new CommandError(
              EXIT.usage,
              'OPTION_INVALID',
              'There must be at least one charger and one site.',
            );
          }
          const folder = path.resolve(context.cwd, options.folder);
          const started = await simulateFleet(context, credential, {
            ...options,
            version: factory,
            folder,
            seed: options.seed ?? seedOf(folder),
          });
          context.err(
            `${started.chargers.length} chargers at ${options.sites} sites are running. Ctrl-C ends them.`,
          );
          await interrupted();
          // An open channel would keep the process.
          if (process.connected) process.disconnect();
          await started.stop();
          return {
            json: { chargers: started.chargers.length, folder },
            lines: [`Stopped. Their state is in ${folder}.`],
          };
        },
      ),
    );
}

function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
    // A parent that dies must not leave a fleet behind.
    if (process.send === undefined) return;
    process.once('disconnect', () => resolve());
    // It may have died before anybody listened.
    if (!process.connected) resolve();
  });
}
