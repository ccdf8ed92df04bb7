import { join } from 'node:path';
import { Command } from 'commander';
import {
  type Authority,
  ceremonyJson,
  type CheckedCeremony,
  finishCeremony,
  productsIn,
} from '../ceremony/index.ts';
import { peekKeyFile } from '../keys/index.ts';
import { commitDocuments } from '../repository/index.ts';
import { writeWhole } from '../whole-file.ts';
import { encodeFile, writeCredentials } from './ceremony.ts';
import { openCeremony } from './ceremony-files.ts';
import type { CommandContext } from './context.ts';
import { CommandError } from './errors.ts';
import { type Ceremony, exists, type Home, homeOf, readCeremony, writeCeremony } from './home.ts';
import { peopleList } from './options.ts';
import { report, type Result } from './result.ts';
import { serviceUrl, servicePort } from './service-place.ts';

interface FinishOptions {
  operators?: string;
  port?: string;
  serviceUrl?: string;
  json?: boolean;
}

export function ceremonyFinishCommand(context: CommandContext): Command {
  return new Command('finish')
    .description(
      'Check that all have signed, as a charger would, and bring the result into the documents here',
    )
    .argument('<files...>', 'the ceremony, or several signed copies of it')
    .option(
      '--operators <names>',
      "first ceremony, on the service's machine: who runs the fleet; the first is also admin",
    )
    .option(
      '--port <number>',
      'first ceremony: where the service will answer (default: TIDEGATE_PORT, else 8443)',
    )
    .option(
      '--service-url <url>',
      'first ceremony: what people and chargers call it (default: https://localhost:<port>)',
    )
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
Everybody who keeps documents of their own runs it on the same file; one of them publishes. It is safe to run again.
At the first ceremony it also sets the service up, on the machine where \`tidegate key service\` made its keys.

Examples:
  $ tidegate ceremony finish left.ceremony
  $ tidegate ceremony finish left-ann.ceremony left-ben.ceremony
  $ tidegate ceremony finish first.ceremony --operators dora,emil`,
    )
    .action((files: [string, ...string[]], options: FinishOptions) =>
      report(context, options, () => finish(context, files, options)),
    );
}

async function finish(
  context: CommandContext,
  files: [string, ...string[]],
  options: FinishOptions,
): Promise<Result> {
  const home = homeOf(context);
  const word = files.length === 1 ? 'file' : `${files.length} files`;
  const checked = await openCeremony(context, files);
  const commit = finishCeremony(checked);
  const isFirst = checked.before === undefined;
  const online = join(home.service, 'online');
  const sets = isFirst && (await exists(online));
  if (sets) await setUpService(context, home, checked, options);
  await writeNames(home, checked);
  // Last: from here on the documents count. Not again with other signatures: what is published stays what is here.
  if (!checked.finished) await commitDocuments(home.repository, commit);
  return {
    json: { ...ceremonyJson(checked), finished: true, service: sets },
    lines: [
      'All have signed, and a charger follows. The documents here are the new ones:',
      ...checked.documents.map(
        ({ name, metadata }) =>
          `  ${name} version ${metadata.signed.version}, valid until ${metadata.signed.expires}`,
      ),
      isFirst
        ? sets
          ? `The service begins with them: hand out ${home.credentials}/<name>.json, then tidegate start`
          : `The others run the same on their machines, with the same ${word}; the service is started where its keys are.`
        : `The others run the same on their machines, with the same ${word}. Next, once: tidegate publish`,
    ],
  };
}

/** What `tidegate start` begins with. */
async function setUpService(
  context: CommandContext,
  home: Home,
  checked: CheckedCeremony,
  options: FinishOptions,
): Promise<void> {
  const { after } = checked;
  await requireOwnKeys(home, after);
  if (await exists(join(home.service, 'operators.json'))) return;
  const operators = peopleList('--operators', options.operators ?? '');
  if (operators.length < 2) throw new CommandError('OPERATORS_TOO_FEW', '--operators');
  const port = servicePort(context, options.port);
  const organisation = organisationOf(after);
  const service = serviceUrl(options.serviceUrl ?? `https://localhost:${port}`);
  await commitDocuments(home.initial, finishCeremony(checked));
  await writeWhole(join(home.service, 'service.json'), encodeFile({ organisation, port }), { mode: 0o600 });
  await writeCredentials(home, { operators, engineers: engineersOf(after), service, organisation });
}

/** A root that names other keys than the service has would never be served. */
async function requireOwnKeys(home: Home, { roles, policy }: Authority): Promise<void> {
  const named = {
    snapshot: roles.get('snapshot')?.keyids ?? [],
    timestamp: roles.get('timestamp')?.keyids ?? [],
    director: Object.values(policy.directors).flatMap(({ keys }) => keys.map(({ keyId }) => keyId)),
  };
  for (const [role, keyIds] of Object.entries(named)) {
    const { keyId } = await peekKeyFile(join(home.service, 'online', `${role}.key.json`));
    if (!keyIds.includes(keyId)) throw new CommandError('SERVICE_KEYS_FOREIGN', role);
  }
}

/** The names for the spelling checks of the other commands. Nothing trusts them. */
async function writeNames(home: Home, { after, file }: CheckedCeremony): Promise<void> {
  const known = await readCeremony(home).catch((): Ceremony => {
    return { organisation: organisationOf(after), people: [], engineers: [], operators: [], products: {} };
  });
  const products = Object.fromEntries(
    productsIn(after).map((product) => [
      product,
      known.products[product] ?? { hardware: file.hardware[product] ?? [] },
    ]),
  );
  const people = [...new Set(['root', 'targets'].flatMap((role) => namesIn(after, role)))];
  await writeCeremony(home, { ...known, people, engineers: engineersOf(after), products });
}

function engineersOf(authority: Authority): string[] {
  const names = productsIn(authority).flatMap((product) => namesIn(authority, product));
  return [...new Set(names.length > 0 ? names : namesIn(authority, 'targets'))];
}

function namesIn({ roles, people }: Authority, role: string): string[] {
  return (roles.get(role)?.keyids ?? []).flatMap((keyId) => people.get(keyId) ?? []);
}

function organisationOf({ policy }: Authority): string {
  return Object.keys(policy.directors)[0] ?? '';
}
