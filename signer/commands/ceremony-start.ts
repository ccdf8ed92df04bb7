import { resolve } from 'node:path';
import { Command } from 'commander';
import {
  authorityOf,
  type CeremonyFile,
  checkCeremony,
  ceremonyJson,
  describeCeremony,
  emptyAuthority,
  encodeCeremony,
  firstCeremony,
  POLICY_FIELDS,
  startCeremony,
  stateOf,
} from '../ceremony/index.ts';
import { listVersions, readWorkingCopy } from '../repository/index.ts';
import { writeWhole } from '../whole-file.ts';
import { EMPTY_SIGSTORE_ROOT, encodeFile } from './ceremony.ts';
import { changesOf, renewals, type WishOptions } from './ceremony-wish.ts';
import { type CommandContext, now } from './context.ts';
import { CommandError } from './errors.ts';
import { exists, homeOf } from './home.ts';
import { collect, hardwareIds, invalidOption, organisationId, productId } from './options.ts';
import { openProposals, referenceOf } from './proposals.ts';
import { readServiceKeys } from './public-keys.ts';
import { report, type Result } from './result.ts';

interface StartOptions extends WishOptions {
  new?: string;
  serviceKeys?: string;
  reason: string;
  dryRun?: boolean;
  json?: boolean;
}

export function ceremonyStartCommand(context: CommandContext): Command {
  const many = (command: Command, flags: string, words: string) => command.option(flags, words, collect, []);
  const command = new Command('start')
    .description('Write down what is to change, as a file that goes from signer to signer')
    .argument('<file>', 'the file to make, e.g. ben-left.ceremony')
    .option('--reason <text>', 'why, in your words; the signers see it', '')
    .option('--new <organisation>', 'the very first ceremony: nothing is there yet')
    .option('--service-keys <file>', "with --new: the service's public keys, from `tidegate key service`");
  many(
    command,
    '--add-person <name=key[:roles]>',
    'somebody new, with their public key (default roles: root,targets)',
  );
  many(
    command,
    '--remove-person <name[:roles]>',
    'somebody leaves; by name or key id (default: from every role)',
  );
  many(command, '--replace-key <name=key[:roles]>', 'a new key for somebody, in the place of the old one');
  many(command, '--threshold <role=number>', 'how many must sign: of root, targets or a product');
  command
    .option('--add-product <product>', 'a new product; with --engineers and --builder-key')
    .option('--engineers <names>', 'who signs its releases: names that are known here, or name=key')
    .option(
      '--builder-key <file>',
      "public key of the product's build, or a JSON file with issuer, workflow, ref",
    )
    .option('--hardware <ids>', 'hardware that the product comes on, for spelling checks');
  many(command, '--remove-product <product>', 'nothing is signed for this product any more');
  many(command, '--set <product:field=value>', `a rule: ${Object.keys(POLICY_FIELDS).join(', ')}`);
  many(command, '--add-builder <product=file>', 'a further build key or identity');
  many(
    command,
    '--retire-builder <product=id>',
    'what it signed before --at, with a timestamp, still counts',
  );
  command.option('--at <time>', 'when builders retire (default: now)');
  many(command, '--compromised-builder <product=id>', 'nothing that it ever signed counts');
  many(command, '--deny-image <sha256>', 'refuse an image, by digest or file');
  many(command, '--allow-image <sha256>', 'take it off the deny list');
  many(
    command,
    '--deny-signer <id>',
    'refuse whatever a build key or identity has signed, for every product',
  );
  many(command, '--allow-signer <id>', 'take it off the deny list');
  command
    .option('--sigstore-root <file>', 'a new trust/sigstore_root.json')
    .option(
      '--stolen-director <key>',
      "the service's director key was stolen: void all it ever said, here is the next",
    )
    .option('--organisation <id>', 'whose director key, where there are several');
  many(command, '--add-director <key>', 'a further director key of the service');
  many(command, '--retire-director <id>', 'a director key that is no longer used');
  many(command, '--add-online-key <role=key>', 'a further snapshot or timestamp key of the service');
  many(command, '--remove-online-key <role=id>', 'one that the service no longer uses');
  return command
    .option('--renew <roles>', 'sign again what would expire: root, targets, products, or all')
    .option('--dry-run', 'show what would change; write nothing')
    .option('--json', 'answer in JSON')
    .addHelpText('after', HELP)
    .action((file: string, options: StartOptions) =>
      report(context, options, () => start(context, file, options)),
    );
}

const HELP = `
Nothing counts before enough people have signed the file and one of them has finished it. Key ids may be given by their first 8 digits.

Examples:
  $ tidegate ceremony start first.ceremony --new volta --service-keys service.pub.json \\
      --add-person ann=ann.pub --add-person ben=ben.pub --add-person cat=cat.pub --threshold root=2 --threshold targets=2
  $ tidegate ceremony start lost.ceremony --replace-key ben=ben-new.pub --reason "Ben lost his key"
  $ tidegate ceremony start left.ceremony --remove-person cat --add-person dan=dan.pub --reason "Cat left"
  $ tidegate ceremony start bad.ceremony --deny-image fw.raucb --set volta.ac22:emergency-floor=2
  $ tidegate ceremony start new.ceremony --add-product volta.dc150 --engineers ann,ben --builder-key ci.pub
  $ tidegate ceremony start stolen.ceremony --stolen-director director.pub --reason "break-in"
  $ tidegate ceremony start renew.ceremony --renew all --dry-run`;

async function start(context: CommandContext, name: string, options: StartOptions): Promise<Result> {
  const path = resolve(context.cwd, name);
  if (await exists(path)) throw new CommandError('FILE_EXISTS', path);
  const made =
    options.new === undefined ? await next(context, options) : await first(context, options, options.new);
  const checked = checkCeremony(made.file, made.own, now(context));
  if (options.dryRun !== true) await writeWhole(path, encodeCeremony(made.file), { exclusive: true });
  return {
    json: { file: options.dryRun === true ? null : path, ...ceremonyJson(checked) },
    lines: [
      ...describeCeremony(checked, now(context)),
      ...made.hints,
      ...(options.dryRun === true
        ? ['Nothing was written: this was a dry run.']
        : [
            `Next: each signer runs tidegate ceremony sign ${name} --key <their key>, and passes the file on.`,
          ]),
    ],
  };
}

interface Made {
  file: CeremonyFile;
  own: ReturnType<typeof stateOf> | undefined;
  hints: string[];
}

async function next(context: CommandContext, options: StartOptions): Promise<Made> {
  const home = homeOf(context);
  const own = stateOf(await readWorkingCopy(home.repository));
  const authority = authorityOf(own);
  const file = startCeremony(
    own,
    {
      changes: await changesOf(options, { cwd: context.cwd, authority, now: now(context) }),
      renew: renewals(options.renew),
      reason: options.reason,
      hardware: hardwareOf(options),
      used: (await listVersions(home.repository)).keys(),
    },
    now(context),
  );
  const open = await openProposals(home);
  const hints = open
    .filter(({ proposal }) => Object.hasOwn(file.after.products, proposal.product))
    .map(
      ({ proposal }) =>
        `careful: ${referenceOf(proposal)} waits for signatures too; whichever is finished first, the other has to be started again`,
    );
  return { file, own, hints };
}

async function first(context: CommandContext, options: StartOptions, name: string): Promise<Made> {
  if (await exists(homeOf(context).repository)) {
    throw new CommandError('STATE_EXISTS', homeOf(context).repository);
  }
  if (options.serviceKeys === undefined) {
    throw invalidOption('--service-keys', '', 'the file that `tidegate key service` made');
  }
  const service = await readServiceKeys(context.cwd, options.serviceKeys);
  const organisation = organisationId(name, '--new');
  const sigstoreRoot = encodeFile(EMPTY_SIGSTORE_ROOT).toString('utf8');
  const empty = emptyAuthority(organisation, service, sigstoreRoot);
  const changes = await changesOf(options, { cwd: context.cwd, authority: empty, now: now(context) });
  const wish = { changes, renew: [], reason: options.reason, hardware: hardwareOf(options) };
  return { file: firstCeremony(empty, wish, now(context)), own: undefined, hints: [] };
}

function hardwareOf(options: StartOptions): Record<string, string[]> {
  if (options.addProduct === undefined || options.hardware === undefined) return {};
  return { [productId(options.addProduct, '--add-product')]: hardwareIds(options.hardware) };
}
