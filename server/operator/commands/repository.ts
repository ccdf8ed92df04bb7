import { Command } from 'commander';
import type { CommandContext } from './context.ts';
import { type CommonOptions, newCommand, run } from './run.ts';
import { bytes } from './table.ts';

interface Collected {
  keepDays: number;
  documents: string[];
  releases: { path: string; keys: string[]; bytes: number }[];
}

export function repositoryCommand(context: CommandContext): Command {
  return new Command('repository').description('The published files').addCommand(collect(context));
}

function collect(context: CommandContext): Command {
  return newCommand('collect', 'Say which published files nobody needs any more; with --yes, remove them', [
    'repository collect',
    'repository collect --yes --reason "spring cleaning"',
  ])
    .option('--yes', 'remove them; without it nothing is changed')
    .option('--reason <text>', 'why; for the audit log', 'collect')
    .action(({ yes = false, reason, ...options }: CommonOptions & { yes?: boolean; reason: string }) =>
      run(context, options, async ({ service }) => {
        const found = yes
          ? await service.post<Collected>('/repository/collect', { reason })
          : await service.get<Collected>('/repository/collectable');
        return { json: { removed: yes, ...found }, lines: describe(found, yes) };
      }),
    );
}

function describe({ keepDays, documents, releases }: Collected, removed: boolean): string[] {
  const rule = `Roots, images that a charger runs or may fall back to, and whatever was current in the last ${keepDays} days stay.`;
  if (documents.length === 0 && releases.length === 0) return [`Nothing to collect. ${rule}`];
  const size = releases.reduce((sum, one) => sum + one.bytes, 0);
  const what = `${releases.length} yanked releases (${bytes(size)}) and ${documents.length} metadata files`;
  return [
    ...releases.map((one) => `  ${one.path}  ${bytes(one.bytes)}`),
    removed ? `Removed ${what}.` : `Would remove ${what}. ${rule}`,
    ...(removed ? [] : ['Nothing is changed yet. To remove them: tidegate repository collect --yes']),
  ];
}
