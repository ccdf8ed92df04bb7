import { resolve } from 'node:path';
import { Command } from 'commander';
import { readWorkingCopy, RepositoryError } from '../repository/index.ts';
import type { CommandContext } from './context.ts';
import { type Home, homeOf, readCeremony } from './home.ts';
import { collect, productId, versionNumber } from './options.ts';
import { listProposals } from './proposals.ts';
import { proposeChange } from './propose-change.ts';
import { describeTarget, type ReleaseOptions } from './release-target.ts';
import { report, type Result } from './result.ts';

interface ProposeOptions extends ReleaseOptions {
  key?: string;
  json?: boolean;
}

export function proposeCommand(context: CommandContext): Command {
  return new Command('propose')
    .description('Propose a release: verify it as a charger would, and sign the product role first')
    .argument('<image>', 'the firmware image')
    .requiredOption('--bundle <file>', 'from `tidegate sign`; may be repeated', collect, [])
    .option('--sbom <file>', 'the bundle around its SBOM, from `tidegate sign --sbom`')
    .requiredOption('--product <id>', 'e.g. acme.dc150')
    .requiredOption('--version <version>', 'as attested')
    .requiredOption('--hardware <ids>', 'as attested')
    .requiredOption('--security-version <number>', 'as attested')
    .option(
      '--fallback <version[:auto]>',
      'an earlier release that chargers may go back to, `auto` to do so unasked even to a lower security version; ' +
        'may be repeated; `none` for no way back (default: the newest earlier release)',
      collect,
      [],
    )
    .option('--notes <text>', 'what is new, for operators', '')
    .option('--cve <id>', 'what it fixes; may be repeated', collect, [])
    .option(
      '--adopt',
      'the image of an existing fleet: a release like any other, to fall back to; no install is needed',
    )
    .option(
      '--key <key>',
      'your key for this product: a file, `pkcs11:…` or `exec:…` (default: TIDEGATE_KEY)',
    )
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
Who signs follows from the key. The image is stored as <product>/<last part of product>-<version>.<ending>.

Examples:
  $ tidegate release propose fw.raucb --bundle fw.raucb.sigstore.json --product acme.dc150 --version 1.2.0 \\
      --hardware dc150-r2 --security-version 3 --key .tidegate/keys/erin/acme.dc150.key.json
  $ tidegate release propose fw.raucb --bundle fw.raucb.sigstore.json --product acme.dc150 --version 1.2.0 \\
      --sbom fw.raucb.sbom.sigstore.json --hardware dc150-r2 --security-version 3 --fallback 1.1.0:auto --fallback 1.0.0 \\
      --cve CVE-2026-1234 --notes 'Fixes the lock'`,
    )
    .action((image: string, options: ProposeOptions) =>
      report(context, options, () => propose(context, image, options)),
    );
}

async function propose(context: CommandContext, image: string, options: ProposeOptions): Promise<Result> {
  const product = productId(options.product);
  const version = versionNumber('--version', options.version);
  await refuseProposed(homeOf(context), product, version);
  return proposeChange(context, product, options.key, async ({ home, copy, at }) => {
    const imageFile = resolve(context.cwd, image);
    const knownHardware = (await readCeremony(home)).products[product]?.hardware;
    const described = { cwd: context.cwd, imageFile, options, knownHardware };
    const { target, files } = await describeTarget(described, copy, at);
    return { change: { kind: 'release', target }, files, imageFile };
  });
}

/** Before anything is read or asked for: whoever proposes the same twice has overlooked the first. */
async function refuseProposed(home: Home, product: string, version: string): Promise<void> {
  const same = (await listProposals(home)).find(
    ({ proposal: { product: of, change } }) =>
      of === product && change.kind === 'release' && change.target.custom.version === version,
  );
  if (same === undefined) return;
  const { products } = await readWorkingCopy(home.repository);
  const listed = products.get(product)?.metadata.signed;
  const { role, change } = same.proposal;
  const yanked =
    change.kind === 'release' &&
    role.signed.version <= (listed?.version ?? 0) &&
    listed?.targets[change.target.path] === undefined;
  if (!yanked) throw new RepositoryError('PROPOSAL_EXISTS', same.file);
}
