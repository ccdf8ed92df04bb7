import { Command } from 'commander';
import type { CommandContext } from './context.ts';
import { allPages } from './pages.ts';
import { type CommonOptions, newCommand, run } from './run.ts';
import { table } from './table.ts';

interface Site {
  id: string;
  name: string;
  type: string;
  region: string;
  timeZone: string;
}

export function siteCommand(context: CommandContext): Command {
  const add = newCommand('add <id>', 'Add a site', [
    'site add berlin-depot --type depot --region de-be --time-zone Europe/Berlin',
  ])
    .requiredOption('--type <type>', 'e.g. depot, street, workplace; cohorts mirror the fleet by it')
    .requiredOption('--region <region>', 'e.g. de-be; cohorts mirror the fleet by it')
    .requiredOption('--time-zone <zone>', 'IANA name, e.g. Europe/Berlin')
    .option('--name <name>', 'what people call it')
    .option('--reason <text>', 'why; for the audit log', 'new site')
    .action((id: string, options: CommonOptions & Omit<Site, 'id'> & { reason: string }) =>
      run(context, options, async ({ service }) => {
        const { type, region, timeZone, name, reason } = options;
        const site = await service.post<Site>('/sites', { id, type, region, timeZone, name, reason });
        return {
          json: site,
          lines: [`Added site ${site.id} (${site.type}, ${site.region}, ${site.timeZone}).`],
        };
      }),
    );
  const list = newCommand('list', 'List sites', ['site list', 'site list --json']).action(
    (options: CommonOptions) =>
      run(context, options, async ({ service }) => {
        const sites = await allPages<Site>(service, '/sites');
        const rows = sites.map(({ id, name, type, region, timeZone }) => [id, name, type, region, timeZone]);
        return {
          json: { sites },
          lines:
            rows.length === 0
              ? ['No sites yet. Add one with: tidegate site add <id> …']
              : table(['SITE', 'NAME', 'TYPE', 'REGION', 'TIME ZONE'], rows),
        };
      }),
  );
  return new Command('site').description('Places where chargers stand').addCommand(add).addCommand(list);
}
