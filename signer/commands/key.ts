import { resolve } from 'node:path';
import { Command } from 'commander';
import { tufKeyOf } from '@tidegate/client-sdk/trust';
import { digits } from '../ceremony/index.ts';
import { hintOf } from '../keys/index.ts';
import { writeWhole } from '../whole-file.ts';
import { type CommandContext } from './context.ts';
import { CommandError } from './errors.ts';
import { exists } from './home.ts';
import { keyCreateCommand, keyServiceCommand } from './key-make.ts';
import { report, type Result } from './result.ts';
import { openSignerKey } from './signing.ts';

export function keyCommand(context: CommandContext): Command {
  const key = new Command('key').description('Keys, wherever they are kept');
  key
    .command('show')
    .description('Open a key, sign a test message with it, and show its public half')
    .option('--key <key>', 'a key file, `pkcs11:…` or `exec:./program` (default: TIDEGATE_KEY)')
    .option('--out <file>', 'write the public half there, to hand over')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
A token's PIN comes from TIDEGATE_PKCS11_PIN or the URI's pin-source; docs/examples has scripts for the KMS of AWS, GCP and Azure.

Examples:
  $ tidegate key show --key .tidegate/keys/ann/root.key.json
  $ tidegate key show --key 'pkcs11:token=release;object=dc150?module-path=/usr/lib/softhsm/libsofthsm2.so'
  $ tidegate key show --key exec:./sign-with-kms --out hans.pub
  $ AWS_KMS_KEY_ID=alias/dc150 tidegate key show --key exec:./sign-with-aws-kms.sh --json`,
    )
    .action((options: { key?: string; out?: string; json?: boolean }) =>
      report(context, options, () => show(context, options.key, options.out)),
    );
  key.addCommand(keyCreateCommand(context)).addCommand(keyServiceCommand(context));
  return key;
}

async function show(
  context: CommandContext,
  reference: string | undefined,
  out: string | undefined,
): Promise<Result> {
  const signer = await openSignerKey(context, reference);
  // A key that can be seen and not used is found here, and not on the day of a release.
  await signer.sign(Buffer.from('tidegate key show'));
  const { keyId, scheme, publicKey } = signer;
  const builderId = hintOf(publicKey);
  const file = out === undefined ? undefined : resolve(context.cwd, out);
  if (file !== undefined) {
    if (await exists(file)) throw new CommandError('FILE_EXISTS', file);
    await writeWhole(file, publicKey, { exclusive: true });
  }
  return {
    json: { keyId, scheme, publicKey, builderId, tufKey: tufKeyOf(publicKey) },
    lines: [
      `${scheme}, it signs`,
      `  in TUF roles     ${keyId}`,
      `  in the policy    ${builderId}`,
      `  read out         ${digits(keyId)}, when somebody asks for your key`,
      ...publicKey.trimEnd().split('\n'),
      ...(file === undefined ? [] : [`Hand over ${file}: it is not secret.`]),
    ],
  };
}
