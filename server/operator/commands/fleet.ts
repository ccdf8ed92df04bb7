import { Command } from 'commander';
import type { CommandContext } from './context.ts';
import { wholeNumber } from './options.ts';
import { allPages } from './pages.ts';
import { type CommonOptions, newCommand, run } from './run.ts';
import { short, table, when } from './table.ts';

interface Charger {
  serial: string;
  product: string;
  hardware: string;
  site: string;
  state: string;
  running: { version: string; sha256: string | null } | null;
  online: boolean;
  charging: boolean;
  lastSeenAt: string | null;
}

interface Token {
  serial: string;
  token: string;
  expiresAt: string;
  note: string | null;
}

interface Adoption {
  adopted: number;
  leftAlone: { serial: string; because: keyof typeof LEFT_ALONE }[];
}

const LEFT_ALONE = {
  RETIRED: 'is retired',
  OTHER_VERSION: 'reports another version',
  DIGEST_KNOWN: 'has said which image it runs',
  OTHER_HARDWARE: 'is of hardware that the release does not fit',
} as const;

interface ChargerDetail extends Charger {
  enrolledAt: string | null;
  certificateExpiresAt: string | null;
  replacedBy: string | null;
  assignments: { rollout: string; state: string; code: string | null; updatedAt: string }[];
}

export function fleetCommand(context: CommandContext): Command {
  const fleet = new Command('fleet').description('Chargers: enrol, look at, adopt, replace, retire');
  for (const make of [token, list, show, adopt, replace, retire]) fleet.addCommand(make(context));
  return fleet;
}

function token(context: CommandContext): Command {
  type Options = CommonOptions & {
    product: string;
    hardware: string;
    site: string;
    hours: number;
    newHardware?: boolean;
    reason: string;
  };
  return newCommand(
    'token <serial...>',
    'Make one-time enrolment tokens, each bound to a serial number; another one corrects or replaces a token that is not used yet',
    ['fleet token DC150-0001 --product acme.dc150 --hardware dc150-r2 --site berlin-depot'],
  )
    .requiredOption('--product <id>', 'product, e.g. acme.dc150')
    .requiredOption('--hardware <id>', 'hardware, e.g. dc150-r2')
    .requiredOption('--site <id>', 'where it stands')
    .option('--hours <n>', 'how long the token counts', wholeNumber('--hours'), 72)
    .option('--new-hardware', 'the product comes on it, though no release fits it yet')
    .option('--reason <text>', 'why; for the audit log', 'new charger')
    .action((serials: string[], { newHardware = false, reason, credential, json, ...place }: Options) =>
      run(context, { credential, json }, async ({ service }) => {
        const tokens: Token[] = [];
        for (const serial of serials) {
          tokens.push(await service.post<Token>('/fleet/tokens', { serial, ...place, newHardware, reason }));
        }
        return {
          json: { tokens },
          lines: [
            ...tokens.map(tokenLine),
            'Each is shown this once. On the charger: tidegate-charger enrol --token …',
            ...noteLines(tokens),
          ],
        };
      }),
    );
}

function tokenLine({ serial, token: secret, expiresAt }: Token): string {
  return `${serial}  ${secret}  until ${when(expiresAt)}`;
}

function noteLines(tokens: Token[]): string[] {
  const notes = new Set(tokens.flatMap(({ note }) => (note === null ? [] : [note])));
  return [...notes].map((note) => `Note: ${note}`);
}

function list(context: CommandContext): Command {
  type Options = CommonOptions & { product?: string; site?: string; state?: string };
  return newCommand('list', 'List chargers', ['fleet list', 'fleet list --site berlin-depot --json'])
    .option('--product <id>', 'only of this product')
    .option('--site <id>', 'only at this site')
    .option('--state <state>', 'only EXPECTED, ACTIVE or RETIRED')
    .action(({ product, site, state, ...options }: Options) =>
      run(context, options, async ({ service }) => {
        const chargers = await allPages<Charger>(service, '/fleet', { product, site, state });
        const rows = chargers.map((one) => [
          one.serial,
          one.product,
          one.hardware,
          one.site,
          one.state,
          one.running?.version ?? '–',
          one.online ? (one.charging ? 'charging' : 'online') : 'offline',
        ]);
        const header = ['SERIAL', 'PRODUCT', 'HARDWARE', 'SITE', 'STATE', 'RUNS', 'NOW'];
        return { json: { chargers }, lines: rows.length === 0 ? ['No chargers.'] : table(header, rows) };
      }),
    );
}

function show(context: CommandContext): Command {
  return newCommand('show <serial>', 'Show a charger', ['fleet show DC150-0001']).action(
    (serial: string, options: CommonOptions) =>
      run(context, options, async ({ service }) => {
        const one = await service.get<ChargerDetail>(`/fleet/${encodeURIComponent(serial)}`);
        const running =
          one.running === null
            ? 'nothing reported yet'
            : `${one.running.version} (${short(one.running.sha256)})`;
        return {
          json: one,
          lines: [
            `${one.serial}  ${one.state}${one.replacedBy === null ? '' : `, replaced by ${one.replacedBy}`}`,
            `  ${one.product} on ${one.hardware} at ${one.site}`,
            `  runs ${running}`,
            `  last seen ${when(one.lastSeenAt)}, certificate until ${when(one.certificateExpiresAt)}`,
            ...one.assignments.map(
              ({ rollout, state, code, updatedAt }) =>
                `  ${rollout}  ${state}${code === null ? '' : ` ${code}`}  ${when(updatedAt)}`,
            ),
          ],
        };
      }),
  );
}

function adopt(context: CommandContext): Command {
  type Options = CommonOptions & { product: string; version: string; reason: string };
  return newCommand(
    'adopt [serials...]',
    "Declare that chargers which report a version run that published release's image, without installing it",
    [
      'fleet adopt --product acme.dc150 --version 1.0.0 --reason "factory image"',
      'fleet adopt DC150-0001 DC150-0002 --product acme.dc150 --version 1.0.0 --reason "factory image"',
    ],
  )
    .requiredOption('--product <id>', 'product')
    .requiredOption('--version <version>', 'the published release that they run')
    .requiredOption('--reason <text>', 'why; for the audit log')
    .action((serials: string[], { product, version, reason, ...options }: Options) =>
      run(context, options, async ({ service }) => {
        const named = serials.length === 0 ? {} : { serials };
        const body = { product, version, reason, ...named };
        const done = await service.post<Adoption>('/fleet/adopt', body);
        return {
          json: done,
          lines: [
            done.adopted === 0
              ? 'No charger was adopted.'
              : `Chargers adopted: ${done.adopted}. They run ${product} ${version}.`,
            ...done.leftAlone.map(({ serial, because }) => `Left alone: ${serial} ${LEFT_ALONE[because]}.`),
          ],
        };
      }),
    );
}

function replace(context: CommandContext): Command {
  type Options = CommonOptions & {
    with: string;
    hardware?: string;
    newHardware?: boolean;
    hours: number;
    reason: string;
  };
  return newCommand('replace <serial>', 'Retire a charger and expect another in its place', [
    'fleet replace DC150-0001 --with DC150-0100 --reason "burnt out"',
  ])
    .requiredOption('--with <serial>', 'serial number of the new charger')
    .option('--hardware <id>', 'hardware of the new one, when it differs')
    .option('--new-hardware', 'the product comes on it, though no release fits it yet')
    .option('--hours <n>', 'how long its token counts', wholeNumber('--hours'), 72)
    .requiredOption('--reason <text>', 'why; for the audit log')
    .action((serial: string, { credential, json, ...body }: Options) =>
      run(context, { credential, json }, async ({ service }) => {
        const made = await service.post<Token>(`/fleet/${encodeURIComponent(serial)}/replace`, body);
        return {
          json: made,
          lines: [
            `${serial} is retired; ${made.serial} is expected in its place.`,
            tokenLine(made),
            ...noteLines([made]),
          ],
        };
      }),
    );
}

function retire(context: CommandContext): Command {
  return newCommand('retire <serial>', 'Take a charger out of service for good', [
    'fleet retire DC150-0001 --reason "site closed"',
  ])
    .requiredOption('--reason <text>', 'why; for the audit log')
    .action((serial: string, { reason, ...options }: CommonOptions & { reason: string }) =>
      run(context, options, async ({ service }) => {
        const done = await service.post(`/fleet/${encodeURIComponent(serial)}/retire`, { reason });
        return {
          json: done,
          lines: [`${serial} is retired. Its certificate and its unused tokens no longer count.`],
        };
      }),
    );
}
