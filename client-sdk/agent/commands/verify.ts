import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { Refusal } from '../../protocol/index.ts';
import { identityOf } from '../open.ts';
import { verifyOffline } from '../offline.ts';
import { clockOf, provisioningOf, report } from './context.ts';
import type { CommandContext, Result, SharedOptions } from './context.ts';

interface VerifyOptions extends SharedOptions {
  image: string;
  bundle: string[];
  sbom?: string;
}

export function verifyCommand(context: CommandContext): Command {
  return new Command('verify')
    .description('May this charger install this file? Judged by what it trusted last, without the network')
    .requiredOption('--image <file>', 'the image')
    .option(
      '--bundle <file>',
      'its Sigstore bundle; may be repeated (default: <image>.sigstore.json)',
      (file: string, before: string[]) => [...before, file],
      [],
    )
    .option('--sbom <file>', 'the bundle around its SBOM, where the policy asks for one')
    .option('--config <file>', 'the provisioning file (default: TIDEGATE_CHARGER, else charger.json)')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ tidegate-charger verify --image dc150-1.2.0.raucb
  $ tidegate-charger verify --image fw.bin --bundle fw.bundle.json --json
  $ tidegate-charger verify --image fw.bin --bundle ci.json --bundle second.json --sbom fw.bin.sbom.sigstore.json

Exit code 0 means yes; 1 means no, and the message begins with the code of the rule that says so.`,
    )
    .action((options: VerifyOptions) => report(context, options, () => verify(context, options)));
}

async function verify(context: CommandContext, options: VerifyOptions): Promise<Result> {
  const provisioning = await provisioningOf(context, options);
  const image = resolve(context.cwd, options.image);
  const bundles = options.bundle.length === 0 ? [`${image}.sigstore.json`] : options.bundle;
  const { sha256, target, signer, trust } = await verifyOffline({
    identity: await identityOf(provisioning),
    stateFolder: provisioning.state,
    image,
    bundles: await Promise.all(bundles.map((file) => readBundle(resolve(context.cwd, file)))),
    sbom: options.sbom === undefined ? undefined : await readBundle(resolve(context.cwd, options.sbom)),
    clock: clockOf(context),
  });
  const { version, securityVersion } = target.custom;
  return {
    json: { ok: true, sha256, path: target.path, version, securityVersion, signer, trust },
    lines: [
      `${target.path}: version ${version}, security version ${securityVersion}, built by ${signer}`,
      `This charger may install it, by what it trusted at ${trust.asOf} (${age(trust.ageSeconds)} ago).`,
      ...(trust.expired
        ? [`That has expired at ${trust.expires}: an update would ask the service first.`]
        : []),
    ],
  };
}

async function readBundle(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new Refusal('BUNDLE_MISSING', `cannot read ${path}`, { cause: error });
  }
}

function age(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`;
  return seconds < 2 * 86_400 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}
