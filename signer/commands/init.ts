import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Command } from 'commander';
import { type CeremonyOutcome, type CeremonyPlan, holdCeremony } from './ceremony.ts';
import { type CommandContext, now } from './context.ts';
import { CommandError } from './errors.ts';
import { exists, type Home, homeAt, homeOf } from './home.ts';
import { organisationId, peopleList } from './options.ts';
import { report, type Result } from './result.ts';
import { servicePort, serviceUrl } from './service-place.ts';

interface InitOptions {
  organisation: string;
  people: string;
  engineers?: string;
  operators: string;
  port?: string;
  serviceUrl?: string;
  json?: boolean;
}

export function initCommand(context: CommandContext): Command {
  return new Command('init')
    .description('Hold a development ceremony: keys, credentials and first metadata in ./.tidegate')
    .option('--organisation <id>', 'whose chargers these are', 'acme')
    .option('--people <names>', 'holders of root and targets keys, two of whom sign', 'erin,frank,grace')
    .option('--engineers <names>', 'who signs and publishes releases (default: the first two people)')
    .option('--operators <names>', 'who runs the fleet; the first is also admin', 'alice,bob')
    .option(
      '--port <number>',
      'where the service will answer on this machine (default: TIDEGATE_PORT, else 8443)',
    )
    .option('--service-url <url>', 'what people and chargers call it (default: https://localhost:<port>)')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
Everything is made on this machine, with passphrases in files beside the keys unless TIDEGATE_PASSPHRASE is set.
That is for development; in production each person keeps their own key, on their own machine.

Examples:
  $ tidegate init
  $ tidegate init --organisation volta --people ann,ben,cat --operators dora,emil
  $ TIDEGATE_HOME=/srv/tidegate tidegate init --json`,
    )
    .action((options: InitOptions) => report(context, options, () => init(context, options)));
}

async function init(context: CommandContext, options: InitOptions): Promise<Result> {
  const plan = planOf(context, options);
  const home = homeOf(context);
  const entries = Object.values(home).filter((path) => dirname(path) === home.folder);
  for (const path of entries) if (await exists(path)) throw new CommandError('STATE_EXISTS', path);
  const outcome = await aside(home, (empty) => holdCeremony(empty, plan));
  return {
    json: { home: home.folder, organisation: plan.organisation, ...outcome },
    lines: say(home, plan, outcome),
  };
}

function planOf(context: CommandContext, options: InitOptions): CeremonyPlan {
  const people = peopleList('--people', options.people);
  if (people.length < 2) throw new CommandError('PEOPLE_TOO_FEW', `--people ${options.people}`);
  // Their key folders would be taken for a machine's.
  const reserved = people.find((name) => name === 'ci' || name === 'service');
  if (reserved !== undefined) throw new CommandError('NAME_INVALID', `${reserved} is no person`);
  const operators = peopleList('--operators', options.operators);
  if (operators.length < 2) throw new CommandError('OPERATORS_TOO_FEW', `--operators ${options.operators}`);
  const port = servicePort(context, options.port);
  return {
    organisation: organisationId(options.organisation),
    people,
    engineers:
      options.engineers === undefined ? people.slice(0, 2) : peopleList('--engineers', options.engineers),
    operators,
    port,
    service: serviceUrl(options.serviceUrl ?? `https://localhost:${port}`),
    passphrase: context.env['TIDEGATE_PASSPHRASE'] || undefined,
    scryptCost: context.scryptCost,
    now: now(context),
  };
}

/** Makes the state beside its place and moves it there at the end, so that a failed ceremony leaves nothing behind. */
async function aside<T>(home: Home, make: (empty: Home) => Promise<T>): Promise<T> {
  const folder = join(dirname(home.folder), `.${basename(home.folder)}-${process.pid}`);
  try {
    const made = await make(homeAt(folder));
    await mkdir(home.folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(folder)) await rename(join(folder, name), join(home.folder, name));
    return made;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function say(home: Home, plan: CeremonyPlan, outcome: CeremonyOutcome): string[] {
  const { people, engineers, passphrase } = plan;
  return [
    `Made ${home.folder} for ${plan.organisation}.`,
    `  root and targets: any 2 of ${people.join(', ')} sign (keys/<name>/)`,
    `  builds: attested with keys/ci/build.key.json`,
    `  service: snapshot, timestamp and director keys of its own (service/online/)`,
    ...outcome.people.map(
      ({ name, roles }) => `  ${name}: ${roles.join(', ')} (${join(home.credentials, `${name}.json`)})`,
    ),
    passphrase === undefined
      ? 'Each folder of keys has its passphrase in a file beside them: for development only.'
      : 'The offline keys open with the passphrase of TIDEGATE_PASSPHRASE; it is stored nowhere.',
    'Next:',
    `  tidegate product add ${plan.organisation}.dc150 --hardware dc150-r2   (signed by ${engineers.join(' and ')} from then on)`,
    '  tidegate start',
  ];
}
