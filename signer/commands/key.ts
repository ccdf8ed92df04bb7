import { Command } from 'commander';
import { tufKeyOf } from '@tidegate/client-sdk/trust';
import { hintOf } from '../keys/index.ts';
import { type CommandContext } from './context.ts';
import { keyCreateCommand, keyServiceCommand } from './key-make.ts';
import { report, type Result } from './result.ts';
import { openSignerKey } from './signing.ts';

export function keyCommand(context: CommandContext): Command {
  const key = new Command('key').description('Keys, wherever they are kept');
  key
    .command('show')
    .description('Open a key, sign a test message with it, and show its public half')
    .option('--key <key>', 'a key file, `pkcs11:…` or `exec:./program` (default: TIDEGATE_KEY)')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
A token's PIN comes from TIDEGATE_PKCS11_PIN or the URI's pin-source; docs/examples has scripts for the KMS of AWS, GCP and Azure.

Examples:
  $ tidegate key show --key .tidegate/keys/ann/root.key.json
  $ tidegate key show --key 'pkcs11:token=release;object=dc150?module-path=/usr/lib/softhsm/libsofthsm2.so'
  $ AWS_KMS_KEY_ID=alias/dc150 tidegate key show --key exec:./sign-with-aws-kms.sh --json`,
    )
    .action((options: { key?: string; json?: boolean }) =>
      report(context, options, () => show(context, options.key)),
    );
  key.addCommand(keyCreateCommand(context)).addCommand(keyServiceCommand(context));
  return key;
}

async function show(context: CommandContext, reference: string | undefined): Promise<Result> {
  const signer = await openSignerKey(context, reference);
  // A key that can be seen and not used is found here, and not on the day of a release.
  await signer.sign(Buffer.from('tidegate key show'));
  const { keyId, scheme, publicKey } = signer;
  const builderId = hintOf(publicKey);
  return {
    json: { keyId, scheme, publicKey, builderId, tufKey: tufKeyOf(publicKey) },
    lines: [
      `${scheme}, it signs`,
      `  in TUF roles     ${keyId}`,
      `  in the policy    ${builderId}`,
      ...publicKey.trimEnd().split('\n'),
    ],
  };
}
