import { basename, resolve } from 'node:path';
import { Command } from 'commander';
import { MAX_SECURITY_VERSION } from '@tidegate/client-sdk/trust';
import { attestProvenance, hashFile } from '../attest/index.ts';
import { hintOf } from '../keys/index.ts';
import { writeWhole } from '../whole-file.ts';
import { type CommandContext, now } from './context.ts';
import { exists, type Home, homeOf, keyHint, personKey, readCeremony } from './home.ts';
import { openKey } from './keyring.ts';
import { hardwareIds, productId, unreadable, versionNumber, wholeNumber } from './options.ts';
import { report, type Result } from './result.ts';

interface SignOptions {
  product: string;
  version: string;
  hardware: string;
  securityVersion: string;
  key?: string;
  out?: string;
  builder?: string;
  json?: boolean;
}

export function signCommand(context: CommandContext): Command {
  return new Command('sign')
    .description('Attest a build: a Sigstore bundle that says what this image is')
    .argument('<image>', 'the firmware image, of any kind')
    .requiredOption('--product <id>', 'e.g. acme.dc150')
    .requiredOption('--version <version>', 'of the firmware, e.g. 1.2.0')
    .requiredOption('--hardware <ids>', 'hardware that it fits, e.g. dc150-r2,dc150-r3')
    .requiredOption('--security-version <number>', 'a counter: raise it when older images must not come back')
    .option('--key <file>', "the build's key (default: TIDEGATE_BUILD_KEY, else the ceremony's CI key)")
    .option('--builder <uri>', 'who built it, e.g. the URL of the CI workflow')
    .option('--out <file>', 'where the bundle goes (default: <image>.sigstore.json)')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ tidegate sign fw.raucb --product acme.dc150 --version 1.2.0 --hardware dc150-r2 --security-version 3
  $ tidegate sign fw.raucb --product acme.dc150 --version 1.2.0 --hardware dc150-r2 --security-version 3 \\
      --key build.key.json --out fw.bundle.json`,
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
  const keyFile = options.key ?? context.env['TIDEGATE_BUILD_KEY'];
  const signer = await openKey(
    context,
    keyFile ? resolve(context.cwd, keyFile) : personKey(home, 'ci', 'build'),
  );
  const path = resolve(context.cwd, file);
  const image = await hashFile(path).catch(unreadable(path));
  const hint = hintOf(signer.publicKey);
  const bundle = await attestProvenance({
    image: { name: basename(path), sha256: image.sha256 },
    parameters,
    builder: options.builder ?? `urn:tidegate:builder:${hint}`,
    finishedOn: new Date(now(context)).toISOString(),
    signer,
  });
  const out = resolve(context.cwd, options.out ?? `${file}.sigstore.json`);
  await writeWhole(out, bundle);
  const { product, version, hardware, securityVersion } = parameters;
  const warnings = await doubts(home, product, hardware);
  return {
    json: { bundle: out, sha256: image.sha256, length: image.length, signer: hint, ...parameters, warnings },
    lines: [
      ...warnings.map((warning) => `Warning: ${warning}`),
      `Attested ${path}`,
      `  as ${product} ${version} for ${hardware.join(', ')}, security version ${securityVersion}`,
      `  sha256 ${image.sha256}, ${image.length} bytes; build key ${hint.slice(0, 8)}`,
      `Bundle: ${out}`,
      `Next: tidegate release propose ${file} --bundle ${options.out ?? `${file}.sigstore.json`} --product ${product} \\`,
      `        --version ${version} --hardware ${hardware.join(',')} --security-version ${securityVersion} --key ${keyHint(home, context.cwd, product)}`,
    ],
  };
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
