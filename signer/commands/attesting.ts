/** Who attests: the options that `sign` and `reattest` share. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { MAX_SIGSTORE_ROOT_BYTES } from '@tidegate/client-sdk/trust';
import {
  ciToken,
  type Deployment,
  identitySigning,
  keySigning,
  MAX_SIGNING_CONFIG_BYTES,
  MAX_TOKEN_BYTES,
  parseSigningConfig,
  parseToken,
  type Signing,
} from '../attest/index.ts';
import { openSigner } from '../keys/index.ts';
import type { CommandContext } from './context.ts';
import { CommandError } from './errors.ts';
import { homeOf, personKey } from './home.ts';
import { readSmallFile } from './options.ts';

export interface AttestingOptions {
  key?: string;
  keyless?: boolean;
  identityTokenFile?: string;
  signingConfig?: string;
  trustedRoot?: string;
}

export function attestingOptions(command: Command): Command {
  return command
    .option(
      '--key <key>',
      'a key file, `pkcs11:…` for a token (RFC 7512), or `exec:./program` for a KMS ' +
        "(default: TIDEGATE_BUILD_KEY, else the ceremony's CI key)",
    )
    .option('--keyless', 'sign as this CI job, by a certificate from Fulcio, instead of with a key')
    .option(
      '--identity-token-file <file>',
      "the job's OIDC token for `sigstore` (default: from GitLab's SIGSTORE_ID_TOKEN, GitHub Actions or Buildkite)",
    )
    .option('--signing-config <file>', 'Sigstore services that sign and witness (signing_config.json, v0.2)')
    .option('--trusted-root <file>', 'what their evidence is verified by (trusted_root.json)');
}

/** @throws CommandError `OPTION_INVALID`; AttestError; KeyError. */
export async function openSigning(context: CommandContext, options: AttestingOptions): Promise<Signing> {
  refuseContradictions(options);
  const deployment = await readDeployment(context, options);
  if (options.keyless !== true) {
    const reference =
      options.key ?? (context.env['TIDEGATE_BUILD_KEY'] || personKey(homeOf(context), 'ci', 'build'));
    return keySigning(await openSigner(reference, context), deployment);
  }
  if (deployment === undefined) {
    throw new CommandError('OPTION_INVALID', '--keyless without --signing-config and --trusted-root');
  }
  const token = await identityToken(context, options.identityTokenFile);
  return identitySigning(token, deployment);
}

/** SLSA's `builder.id` unless somebody says otherwise: the identity's URI, else a name for the key. */
export function builderOf({ name, builder }: Signing): string {
  return builder.kind === 'key' ? `urn:tidegate:builder:${name}` : name;
}

/** Who signed, in a line's middle. */
export function attestedBy({ name, builder, evidence }: Signing): string {
  const who = builder.kind === 'key' ? `build key ${name.slice(0, 8)}` : name;
  const witnesses = [
    ...(evidence.logs === 0 ? [] : [plural(evidence.logs, 'log')]),
    ...(evidence.timestamps === 0
      ? []
      : [plural(evidence.timestamps, 'timestamp authority', 'timestamp authorities')]),
  ];
  return witnesses.length === 0 ? who : `${who}, witnessed by ${witnesses.join(' and ')}`;
}

function refuseContradictions(options: AttestingOptions): void {
  const refuse = (detail: string) => {
    throw new CommandError('OPTION_INVALID', detail);
  };
  if (options.keyless === true && options.key !== undefined) refuse('--keyless and --key');
  if (options.identityTokenFile !== undefined && options.keyless !== true) {
    refuse('--identity-token-file without --keyless');
  }
  // Evidence that nobody verified is none.
  if ((options.signingConfig === undefined) !== (options.trustedRoot === undefined)) {
    refuse('--signing-config and --trusted-root go together');
  }
}

async function readDeployment(
  { cwd }: CommandContext,
  { signingConfig, trustedRoot }: AttestingOptions,
): Promise<Deployment | undefined> {
  if (signingConfig === undefined || trustedRoot === undefined) return undefined;
  return {
    config: parseSigningConfig(await readSmallFile(resolve(cwd, signingConfig), MAX_SIGNING_CONFIG_BYTES)),
    trustedRoot: await readSmallFile(resolve(cwd, trustedRoot), MAX_SIGSTORE_ROOT_BYTES),
    // Certificates and services live on the wall's clock, also where a fleet's runs faster.
    now: Date.now(),
  };
}

async function identityToken({ cwd, env }: CommandContext, file: string | undefined) {
  if (file === undefined) return ciToken(env, Date.now());
  return parseToken((await readSmallFile(resolve(cwd, file), MAX_TOKEN_BYTES)).toString('utf8'), Date.now());
}

function plural(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}
