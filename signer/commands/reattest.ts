import { resolve } from 'node:path';
import { Command } from 'commander';
import { type ReleaseTarget, Refusal } from '@tidegate/client-sdk/protocol';
import { attestBuild, attestSbom, hashFile } from '../attest/index.ts';
import { listedRelease, readWorkingCopy, RepositoryError } from '../repository/index.ts';
import { writeWhole } from '../whole-file.ts';
import { attestedBy, attestingOptions, type AttestingOptions, builderOf, openSigning } from './attesting.ts';
import { type CommandContext, now } from './context.ts';
import { homeOf } from './home.ts';
import { releaseName, unreadable } from './options.ts';
import { report, type Result } from './result.ts';
import { sbomIn } from './sign.ts';

interface ReattestOptions extends AttestingOptions {
  image?: string;
  builder?: string;
  out?: string;
  sbom?: string;
  sbomOut?: string;
  json?: boolean;
}

export function reattestCommand(context: CommandContext): Command {
  const command = new Command('reattest')
    .description('Attest a published image anew, with another key or identity, before its first one goes')
    .argument('<release>', '<product>@<version>')
    .option('--image <file>', 'your copy of the image, to be compared with what is published');
  return attestingOptions(command)
    .option('--builder <uri>', 'who vouches now (default: the identity, else the key)')
    .option('--out <file>', 'where the bundle goes (default: <product>-<version>.again.sigstore.json)')
    .option('--sbom <file>', 'CycloneDX or SPDX in JSON, attested to the same image')
    .option(
      '--sbom-out <file>',
      "where the SBOM's bundle goes (default: <product>-<version>.again.sbom.sigstore.json)",
    )
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
What the image is comes from the product role that its release engineers signed; nothing is typed again. The bundle joins the others of
the release: any valid one suffices, so chargers go on accepting the image when the first key is retired or compromised.

Examples:
  $ tidegate reattest acme.dc150@1.2.0 --key exec:./sign-with-aws-kms.sh
  $ tidegate reattest acme.dc150@1.2.0 --image fw.raucb --keyless --signing-config signing_config.json \\
      --trusted-root trusted_root.json`,
    )
    .action((name: string, options: ReattestOptions) =>
      report(context, options, () => reattest(context, name, options)),
    );
}

async function reattest(context: CommandContext, name: string, options: ReattestOptions): Promise<Result> {
  const { product, version } = releaseName(name);
  const { target, roleVersion } = await published(context, product, version);
  if (options.image !== undefined) await compare(resolve(context.cwd, options.image), target);
  const { custom, path, sha256 } = target;
  const { hardware, securityVersion } = custom;
  const sbom = await sbomIn(context, options);
  const signing = await openSigning(context, options);
  const image = { name: path.slice(product.length + 1), sha256 };
  const bundle = await attestBuild(
    {
      image,
      parameters: { product, version, hardware, securityVersion },
      builder: options.builder ?? builderOf(signing),
      finishedOn: new Date(now(context)).toISOString(),
      reattests: { bundles: custom.bundles.map((file) => file.sha256), roleVersion },
    },
    signing,
  );
  const out = resolve(context.cwd, options.out ?? `${product}-${version}.again.sigstore.json`);
  const sbomBundle = sbom && (await attestSbom({ ...image, product }, sbom, signing));
  const sbomOut = resolve(context.cwd, options.sbomOut ?? `${product}-${version}.again.sbom.sigstore.json`);
  await writeWhole(out, bundle);
  if (sbomBundle) await writeWhole(sbomOut, sbomBundle);
  return {
    json: {
      bundle: out,
      product,
      version,
      path,
      sha256,
      signer: signing.name,
      reattests: custom.bundles,
      roleVersion,
      sbom: sbom ? { bundle: sbomOut, format: sbom.format, version: sbom.version } : null,
    },
    lines: [
      `Attested ${path} again`,
      `  as ${product} ${version} for ${hardware.join(', ')}, security version ${securityVersion}`,
      `  sha256 ${sha256}; ${attestedBy(signing)}`,
      `Bundle: ${out}`,
      ...(sbom ? [`SBOM (${sbom.format} ${sbom.version}): ${sbomOut}`] : []),
      'Next, once the policy names this key or identity, by a release engineer:',
      `  tidegate release attest ${product}@${version} --bundle ${out}${sbom ? ` --sbom ${sbomOut}` : ''}`,
    ],
  };
}

/** What k of n release engineers said of it. */
async function published(
  context: CommandContext,
  product: string,
  version: string,
): Promise<{ target: ReleaseTarget; roleVersion: number }> {
  const role = (await readWorkingCopy(homeOf(context).repository)).products.get(product)?.metadata;
  if (role === undefined) throw new RepositoryError('RELEASE_UNKNOWN', `${product} ${version}`);
  return { target: listedRelease(role, product, version), roleVersion: role.signed.version };
}

async function compare(file: string, target: ReleaseTarget): Promise<void> {
  const { sha256 } = await hashFile(file).catch(unreadable(file));
  if (sha256 !== target.sha256) throw new Refusal('IMAGE_DIGEST', `${file} is not ${target.path}`);
}
