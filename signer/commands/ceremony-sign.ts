import { resolve } from 'node:path';
import { Command } from 'commander';
import {
  CeremonyError,
  ceremonyJson,
  type CheckedCeremony,
  checkCeremony,
  describeCeremony,
  encodeCeremony,
  fingerprint,
  signCeremony,
} from '../ceremony/index.ts';
import { KeyError, type Signer } from '../keys/index.ts';
import { writeWhole } from '../whole-file.ts';
import { askSecret, confirm } from './ask.ts';
import { openCeremony, ownState } from './ceremony-files.ts';
import { type CommandContext, now } from './context.ts';
import { CommandError } from './errors.ts';
import { homeOf } from './home.ts';
import { collect } from './options.ts';
import { report, type Result } from './result.ts';
import { openSignerKey } from './signing.ts';

interface SignOptions {
  key: string[];
  fingerprint?: string;
  yes?: boolean;
  json?: boolean;
}

export function ceremonySignCommand(context: CommandContext): Command {
  return new Command('sign')
    .description('See in plain words what changes, and add your signature')
    .argument('<file>', 'the ceremony, as you were given it')
    .option(
      '--key <key>',
      'your key: a file, `pkcs11:…` or `exec:…`; several, if you have one for each role (default: TIDEGATE_KEY)',
      collect,
      [],
    )
    .option('--fingerprint <word>', 'the fingerprint of the root, as you were told it over another way')
    .option('--yes', 'on a terminal: do not ask')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
Your signature goes under every document that your key has a part in. The file is written back; pass it on, or send it back: copies that were
signed apart are put together by giving them all to \`ceremony finish\`.

Examples:
  $ tidegate ceremony sign left.ceremony --key ann.key.json
  $ tidegate ceremony sign first.ceremony --key ben.key.json --fingerprint "1a2b 3c4d 5e6f 7081 92a3 b4c5 d6e7 f809"
  $ TIDEGATE_KEY=exec:./sign-with-kms tidegate ceremony sign left.ceremony`,
    )
    .action((file: string, options: SignOptions) =>
      report(context, options, () => sign(context, file, options)),
    );
}

async function sign(context: CommandContext, name: string, options: SignOptions): Promise<Result> {
  const checked = await openCeremony(context, [name]);
  requireFingerprint(checked, options.fingerprint);
  const asks = context.tty && !context.json && options.json !== true && options.yes !== true;
  if (asks) {
    for (const line of describeCeremony(checked, now(context))) context.err(line);
    if (!(await confirm(context, 'Sign this?'))) throw new CommandError('NOT_CONFIRMED', name);
  }
  const own = await ownState(homeOf(context));
  let after = checked;
  const signatures: { documents: string[]; keyId: string; name: string | null }[] = [];
  for (const option of options.key.length === 0 ? [undefined] : options.key) {
    const key = await openKey(context, option);
    const { file, signed } = await signCeremony(after, key);
    after = checkCeremony(file, own, now(context));
    const name = checked.after.people.get(key.keyId) ?? checked.before?.people.get(key.keyId);
    signatures.push({ documents: signed, keyId: key.keyId, name: name ?? null });
  }
  await writeWhole(resolve(context.cwd, name), encodeCeremony(after.file));
  return {
    json: { signed: signatures, ...ceremonyJson(after) },
    lines: [
      ...describeCeremony(after, now(context)),
      ...signatures.map(
        ({ documents, keyId, name: who }) =>
          `You signed ${documents.join(', ')} with ${who === null ? '' : `${who}'s `}key ${keyId.slice(0, 8)}.`,
      ),
      after.complete
        ? `All signatures are there. Next: tidegate ceremony finish ${name}`
        : 'More signatures are needed: pass the file on.',
    ],
  };
}

function requireFingerprint({ file }: CheckedCeremony, told: string | undefined): void {
  const root = file.before?.root ?? file.after.root;
  if (told === undefined || root === undefined) return;
  const seen = fingerprint(root);
  if (told.replaceAll(/\s/g, '').toLowerCase() === seen.replaceAll(' ', '')) return;
  throw new CeremonyError('FINGERPRINT_DIFFERS', seen);
}

async function openKey(context: CommandContext, option: string | undefined): Promise<Signer> {
  try {
    return await openSignerKey(context, option);
  } catch (error) {
    if (!(context.tty && error instanceof KeyError && error.code === 'KEY_PASSPHRASE_MISSING')) throw error;
    const passphrase = await askSecret(context, 'Passphrase of your key: ');
    return openSignerKey({ ...context, env: { ...context.env, TIDEGATE_PASSPHRASE: passphrase } }, option);
  }
}
