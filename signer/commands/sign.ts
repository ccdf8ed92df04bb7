import { basename, resolve } from 'node:path';
import { Command } from 'commander';
import { MAX_SBOM_BYTES, MAX_SECURITY_VERSION } from '@tidegate/client-sdk/trust';
import { attestBuild, attestSbom, hashFile, readSbom, type Sbom } from '../attest/index.ts';
import { writeWhole } from '../whole-file.ts';
import { attestedBy, attestingOptions, type AttestingOptions, builderOf, openSigning } from './attesting.ts';
import { type CommandContext, now } from './context.ts';
import { exists, type Home, homeOf, keyHint, readCeremony } from './home.ts';
import { hardwareIds, productId, readSmallFile, unreadable, versionNumber, wholeNumber } from './options.ts';
import { report, type Result } from './result.ts';

interface SignOptions extends AttestingOptions {
  product: string;
  version: string;
  hardware: string;
  securityVersion: string;
  out?: string;
  sbom?: string;
  sbomOut?: string;
  builder?: string;
  json?: boolean;
}

export function signCommand(context: CommandContext): Command {
  const command = new Command('sign')
    .description(
      'Attest a build: a Sigstore bundle that says what this image is, and one that says what is in it',
    )
    .argument('<image>', 'the firmware image, of any kind')
    .requiredOption('--product <id>', 'e.g. acme.dc150')
    .requiredOption('--version <version>', 'of the firmware, e.g. 1.2.0')
    .requiredOption('--hardware <ids>', 'hardware that it fits, e.g. dc150-r2,dc150-r3')
    .requiredOption(
      '--security-version <number>',
      'a counter: raise it when older images must not come back',
    );
  return attestingOptions(command)
    .option(
      '--builder <uri>',
      'who built it, e.g. the URL of the CI workflow (default: the identity, else the key)',
    )
    .option('--sbom <file>', 'CycloneDX or SPDX in JSON, attested to the same image')
    .option('--out <file>', 'where the bundle goes (default: <image>.sigstore.json)')
    .option('--sbom-out <file>', "where the SBOM's bundle goes (default: <image>.sbom.sigstore.json)")
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ tidegate sign fw.raucb --product acme.dc150 --version 1.2.0 --hardware dc150-r2 --security-version 3
  $ tidegate sign fw.raucb --product acme.dc150 --version 1.2.0 --hardware dc150-r2 --security-version 3 \\
      --key build.key.json --out fw.bundle.json --sbom fw.cdx.json
  $ tidegate sign fw.raucb --product acme.dc150 --version 1.2.0 --hardware dc150-r2 --security-version 3 \\
      --key 'pkcs11:token=ci;object=build?module-path=/usr/lib/softhsm/libsofthsm2.so'
  $ tidegate sign fw.raucb --product acme.dc150 --version 1.2.0 --hardware dc150-r2 --security-version 3 \\
      --keyless --signing-config signing_config.json --trusted-root trusted_root.json

The bundles are standard ones, v0.3, and verified with the charger's own code before they are written. cosign reads them too:
\`cosign verify-blob-attestation --bundle fw.raucb.sigstore.json --key build.pub --type slsaprovenance1 --insecure-ignore-tlog fw.raucb\`.`,
    )
    .action((image: string, options: SignOptions) =>
      report(context, options, () => sign(context, image, options)),
    );
}

async function sign(context: CommandContext, file: string, options: SignOptions): Promise<Result> {
  const parameters = {
    product: productId(options.product),
    version: versionNumber('--version', options.version),
    hardware: hardwareIds(options.hardware),
    securityVersion: wholeNumber('--security-version', options.securityVersion, 0, MAX_SECURITY_VERSION),
  };
  const home = homeOf(context);
  const path = resolve(context.cwd, file);
  const { sha256, length } = await hashFile(path).catch(unreadable(path));
  const image = { name: basename(path), sha256 };
  const sbom = await sbomIn(context, options);
  const signing = await openSigning(context, options);
  const bundle = await attestBuild(
    {
      image,
      parameters,
      builder: options.builder ?? builderOf(signing),
      finishedOn: new Date(now(context)).toISOString(),
    },
    signing,
  );
  const sbomBundle = sbom && (await attestSbom({ ...image, product: parameters.product }, sbom, signing));
  // Both are made before one is written: half of a pair would look finished.
  const out = resolve(context.cwd, options.out ?? `${file}.sigstore.json`);
  const sbomOut = resolve(context.cwd, options.sbomOut ?? `${file}.sbom.sigstore.json`);
  await writeWhole(out, bundle);
  if (sbomBundle) await writeWhole(sbomOut, sbomBundle);
  const { product, version, hardware, securityVersion } = parameters;
  const warnings = await doubts(home, product, hardware);
  return {
    json: {
      bundle: out,
      sha256,
      length,
      signer: signing.name,
      evidence: signing.evidence,
      ...parameters,
      sbom: sbom ? { bundle: sbomOut, format: sbom.format, version: sbom.version } : null,
      warnings,
    },
    lines: [
      ...warnings.map((warning) => `Warning: ${warning}`),
      `Attested ${path}`,
      `  as ${product} ${version} for ${hardware.join(', ')}, security version ${securityVersion}`,
      `  sha256 ${sha256}, ${length} bytes; ${attestedBy(signing)}`,
      `Bundle: ${out}`,
      ...(sbom ? [`SBOM (${sbom.format} ${sbom.version}): ${sbomOut}`] : []),
      `Next: tidegate release propose ${file} --bundle ${options.out ?? `${file}.sigstore.json`} ${sbom ? `--sbom ${options.sbomOut ?? `${file}.sbom.sigstore.json`} ` : ''}--product ${product} \\`,
      `        --version ${version} --hardware ${hardware.join(',')} --security-version ${securityVersion} --key ${await keyHint(home, context.cwd, product)}`,
    ],
  };
}

export async function sbomIn(
  { cwd }: CommandContext,
  { sbom }: { sbom?: string },
): Promise<Sbom | undefined> {
  if (sbom === undefined) return undefined;
  // One byte more, so that it is the SBOM that is called too long, and not just a file.
  return readSbom(await readSmallFile(resolve(cwd, sbom), MAX_SBOM_BYTES + 1));
}

/** A build machine has no ceremony to ask; where there is one, a misspelt id is found before two engineers look at it. */
async function doubts(home: Home, product: string, hardware: string[]): Promise<string[]> {
  if (!(await exists(home.ceremony))) return [];
  const known = (await readCeremony(home)).products[product]?.hardware;
  if (known === undefined) {
    return [`no product ${product} was added here. Check --product, or run \`tidegate product add\` first.`];
  }
  return hardware
    .filter((id) => !known.includes(id))
    .map((id) => `${product} was added for ${known.join(', ')}, not for ${id}. Check --hardware.`);
}
