import { Command } from 'commander';
import { type CommandContext, homeOf } from '@tidegate/signer/commands';
import { complain } from './complain.ts';
import type { Remains } from './destroy.ts';

const EXAMPLES = `
Without --yes it only lists what would go; nothing brings it back. Chargers that trust these keys can be given no other firmware afterwards.
A database of your own (DATABASE_URL), a Redis and a bucket (TIDEGATE_STORE) are left alone and named; so is what Tidegate did not make.

Examples:
  $ tidegate destroy
  $ tidegate destroy --yes
  $ TIDEGATE_HOME=/srv/old tidegate destroy --yes --json

Exit codes: 0 done or listed, 1 refused or failed.`;

/** `tidegate destroy`: takes away a state directory with its keys and its embedded database, wherever that lies. */
export function destroyCommand(context: CommandContext): Command {
  return new Command('destroy')
    .description('Remove a state directory for good: keys, credentials, service and its database')
    .option('--yes', 'do it; without it the command lists what it would remove')
    .option('--json', 'answer in JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (options: { yes?: boolean; json?: boolean }) => {
      const json = context.json || options.json === true;
      const removed = options.yes === true;
      try {
        const { destroy, findRemains } = await import('./destroy.ts');
        const { folder } = homeOf(context);
        const remains = removed ? await destroy(folder, context.env) : await findRemains(folder, context.env);
        if (json) context.out(JSON.stringify({ removed, ...remains }));
        else for (const line of describe(remains, removed)) context.out(line);
      } catch (error) {
        complain(context, error, json);
      }
    });
}

function describe({ home, remove, keep, elsewhere }: Remains, removed: boolean): string[] {
  return [
    removed ? `Removed from ${home}:` : `Would remove from ${home}, for good:`,
    ...remove.map(({ path, what }) => `  ${path}  (${what})`),
    ...(keep.length === 0 ? [] : [`${removed ? 'Kept' : 'Would keep'}: ${keep.join(', ')}`]),
    ...elsewhere.map((place) => `Not here, and left alone: ${place}`),
    ...(removed ? [] : ['Nothing was changed. To do it: tidegate destroy --yes']),
  ];
}
