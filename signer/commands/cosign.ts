import { basename, resolve } from 'node:path';
import { Command } from 'commander';
import { Refusal, type ReleaseTarget } from '@tidegate/client-sdk/protocol';
import { hashFile } from '../attest/index.ts';
import { checkProposal, productRole, readWorkingCopy, RepositoryError } from '../repository/index.ts';
import { type CommandContext, now } from './context.ts';
import { describeProposal, describeSignatures, proposalJson } from './describe.ts';
import { exists, homeOf } from './home.ts';
import { holdersKnown } from './keyring.ts';
import { unreadable } from './options.ts';
import { findProposal, saveProposal } from './proposals.ts';
import { keepProposal } from './release-finish.ts';
import { report, type Result } from './result.ts';
import { adoptRole, openSignerKey, signProposal } from './signing.ts';

interface CosignOptions {
  key?: string;
  image?: string;
  json?: boolean;
}

export function cosignCommand(context: CommandContext): Command {
  return new Command('cosign')
    .description('See in plain words what is proposed, verify it again, and add your signature')
    .argument(
      '[proposal]',
      '<product>@<version>, <product>, or its file (default: the only one that lacks signatures)',
    )
    .option(
      '--key <key>',
      'your key for this product: a file, `pkcs11:…` or `exec:…` (default: TIDEGATE_KEY)',
    )
    .option('--image <file>', 'your own copy of the image (default: the proposed file, where it can be read)')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ tidegate release cosign --key .tidegate/keys/frank/acme.dc150.key.json
  $ tidegate release cosign acme.dc150 --key .tidegate/keys/frank/acme.dc150.key.json
  $ tidegate release cosign acme.dc150@1.2.0 --key .tidegate/keys/frank/acme.dc150.key.json
  $ TIDEGATE_KEY=frank.key.json tidegate release cosign acme.dc150-1.2.0.json --image fw.raucb`,
    )
    .action((name: string | undefined, options: CosignOptions) =>
      report(context, options, () => cosign(context, name, options)),
    );
}

async function cosign(
  context: CommandContext,
  name: string | undefined,
  options: CosignOptions,
): Promise<Result> {
  const home = homeOf(context);
  const { file, proposal } = await findProposal(home, context.cwd, name);
  const copy = await readWorkingCopy(home.repository);
  const at = now(context);
  const before = checkProposal(copy, proposal, at);
  // One more signature would be other bytes under a version that may be published already.
  if (before.adopted) throw new RepositoryError('PROPOSAL_COMPLETE', file);
  const given = options.image === undefined ? undefined : resolve(context.cwd, options.image);
  const looked = before.target !== null && (await lookAtImage(given, proposal.imageFile, before.target));

  const role = productRole(copy.targets.metadata, proposal.product);
  const signed = await signProposal(proposal, role, await openSignerKey(context, options.key));
  const checked = checkProposal(copy, signed, at);
  await saveProposal(file, signed);
  if (checked.status.complete) {
    await adoptRole(home, signed);
    await keepProposal(home, signed);
  }

  const holders = await holdersKnown(home, role, copy);
  return {
    json: { ...proposalJson(file, signed, checked, holders), imageSeen: looked },
    lines: [
      ...describeProposal(proposal, checked, copy.products.get(proposal.product)?.metadata),
      ...(looked ? ['  the image here is the one that is signed'] : []),
      ...(!looked && checked.change.kind === 'release'
        ? ['  the image is not here; only its digest was seen']
        : []),
      ...describeSignatures(signed, checked.status, holders),
      ...(checked.status.complete
        ? [
            'Next: tidegate publish',
            `  others with documents of their own first take it in: tidegate release finish ${basename(file)}`,
          ]
        : [`More signatures are needed: pass on ${file}.`]),
    ],
  };
}

/** A cosigner who has the image signs what was looked at, not what somebody says of it. */
async function lookAtImage(
  given: string | undefined,
  proposed: string | undefined,
  target: ReleaseTarget,
): Promise<boolean> {
  const file = given ?? proposed;
  if (file === undefined || (given === undefined && !(await exists(file)))) return false;
  const { sha256 } = await hashFile(file).catch(unreadable(file));
  if (sha256 !== target.sha256) throw new Refusal('IMAGE_DIGEST', `${file} is not ${target.path}`);
  return true;
}
