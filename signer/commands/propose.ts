import { resolve } from 'node:path';
import { Command } from 'commander';
import {
  checkProposal,
  proposeRelease,
  readWorkingCopy,
  RepositoryError,
  type WorkingCopy,
} from '../repository/index.ts';
import { type CommandContext, now } from './context.ts';
import { describeRelease, describeSignatures, proposalJson } from './describe.ts';
import { exists, type Home, homeOf, keyHint, readCeremony } from './home.ts';
import { holdersHere } from './keyring.ts';
import { collect, productId, versionNumber } from './options.ts';
import { listProposals, proposalFile, saveProposal } from './proposals.ts';
import { describeTarget, type ReleaseOptions } from './release-target.ts';
import { report, type Result } from './result.ts';
import { adoptRole, openSignerKey, roleOf, signProposal } from './signing.ts';

interface ProposeOptions extends ReleaseOptions {
  key?: string;
  json?: boolean;
}

export function proposeCommand(context: CommandContext): Command {
  return new Command('propose')
    .description('Propose a release: verify it as a charger would, and sign the product role first')
    .argument('<image>', 'the firmware image')
    .requiredOption('--bundle <file>', 'from `tidegate sign`; may be repeated', collect, [])
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
      --hardware dc150-r2 --security-version 3 --fallback 1.1.0:auto --fallback 1.0.0 --cve CVE-2026-1234 --notes 'Fixes the lock'`,
    )
    .action((image: string, options: ProposeOptions) =>
      report(context, options, () => propose(context, image, options)),
    );
}

async function propose(context: CommandContext, image: string, options: ProposeOptions): Promise<Result> {
  const home = homeOf(context);
  const product = productId(options.product);
  const version = versionNumber('--version', options.version);
  const copy = await readWorkingCopy(home.repository);
  await refuseSecond(home, copy, product, version);
  const imageFile = resolve(context.cwd, image);
  const knownHardware = (await readCeremony(home)).products[product]?.hardware;
  const at = now(context);
  const { target, bundles } = await describeTarget(
    { cwd: context.cwd, imageFile, options, knownHardware },
    copy,
    at,
  );
  const unsigned = proposeRelease(copy, { product, target, bundles, imageFile }, at);

  const role = roleOf(copy, product);
  const proposal = await signProposal(unsigned, role, await openSignerKey(context, options.key));
  const checked = checkProposal(copy, proposal, at);
  const file = proposalFile(home, product, version);
  await saveProposal(file, proposal, { exclusive: true });
  if (checked.status.complete) await adoptRole(home, proposal);

  const holders = await holdersHere(home, role);
  return {
    json: proposalJson(file, proposal, checked, holders),
    lines: [
      ...describeRelease(target, checked.verified.signer),
      ...describeSignatures(proposal, checked.status, holders),
      `Proposal: ${file}`,
      checked.status.complete
        ? 'Next: tidegate publish'
        : `Next, by another of them: tidegate release cosign ${product}@${version} --key ${keyHint(home, context.cwd, product)}`,
    ],
  };
}

/** Two proposals of one product would both be the role's next version; whichever came second would have to be signed again. */
async function refuseSecond(home: Home, copy: WorkingCopy, product: string, version: string): Promise<void> {
  const file = proposalFile(home, product, version);
  if (await exists(file)) throw new RepositoryError('PROPOSAL_EXISTS', file);
  const current = copy.products.get(product)?.metadata.signed;
  const pending = (await listProposals(home)).find(
    ({ proposal }) => proposal.product === product && proposal.role.signed.version > (current?.version ?? 0),
  );
  if (pending !== undefined) throw new RepositoryError('PROPOSAL_PENDING', pending.file);
}
