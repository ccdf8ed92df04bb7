import { Command, InvalidArgumentError } from 'commander';
import { CommandError, type CommandContext, EXIT } from './context.ts';
import { type CommonOptions, newCommand, run } from './run.ts';
import { bytes } from './table.ts';

interface TakenOver {
  fenced: boolean;
  over: number;
  roles: { role: string; from: number; to: number }[];
  added: string[];
  changed: string[];
  yanked: string[];
}

interface Collected {
  keepDays: number;
  documents: string[];
  releases: { path: string; keys: string[]; bytes: number }[];
}

export function repositoryCommand(context: CommandContext): Command {
  return new Command('repository')
    .description('The published files')
    .addCommand(collect(context))
    .addCommand(takeOver(context));
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

function takeOver(context: CommandContext): Command {
  return newCommand(
    'take-over',
    'After a database was restored beside a newer store: learn from the store, and be its writer again (admins)',
    [
      'repository take-over',
      'repository take-over --yes --over 1795780000 --reason "database restored from Monday\'s backup"',
    ],
  )
    .option('--yes', 'do it; without it nothing is changed')
    .option(
      '--over <version>',
      "the store's timestamp, as the command without --yes has told it; another one now means that another service writes still",
      version,
    )
    .option('--reason <text>', 'why; for the audit log')
    .action((options: CommonOptions & { yes?: boolean; over?: number; reason?: string }) =>
      run(context, options, async ({ service }) => {
        const { yes = false, over, reason } = options;
        if (yes && (over === undefined || reason === undefined)) {
          throw new CommandError(
            EXIT.usage,
            'OPTION_MISSING',
            '--yes goes with --over and --reason. Look first: tidegate repository take-over',
          );
        }
        const found = yes
          ? await service.post<TakenOver>('/repository/take-over', { over, reason })
          : await service.get<TakenOver>('/repository/take-over');
        return { json: { done: yes && found.fenced, ...found }, lines: describeTakeOver(found, yes) };
      }),
    );
}

function describeTakeOver({ fenced, over, roles, ...releases }: TakenOver, done: boolean): string[] {
  if (!fenced) return ['Nothing to take over: the store holds what this service has put there.'];
  const name = (what: string, paths: string[]) => paths.map((path) => `  release ${what}: ${path}`);
  return [
    done ? 'Learnt from the store:' : 'Another service has written into the store. It is ahead in:',
    ...roles.map(({ role, from, to }) => `  ${role}: ${to === 0 ? `${from}, removed` : `${from} → ${to}`}`),
    ...name('added', releases.added),
    ...name('changed', releases.changed),
    ...name('yanked', releases.yanked),
    ...(done
      ? ['This service publishes again. Whatever service wrote there before is fenced from now on.']
      : [
          'Nothing is changed yet. Stop that service first; what it has acknowledged is in the store.',
          `To go on from there: tidegate repository take-over --yes --over ${over} --reason "…"`,
        ]),
  ];
}

/** Of an online role: Unix time at least. */
function version(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('--over takes a version.');
  return Number(text);
}
