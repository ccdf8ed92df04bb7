import { Command } from 'commander';
import { resolve } from 'node:path';
import {
  checkProposal,
  type Proposal,
  productRole,
  readWorkingCopy,
  RepositoryError,
  same,
} from '../repository/index.ts';
import { type CommandContext, now } from './context.ts';
import { describeProposal, describeSignatures, proposalJson } from './describe.ts';
import { exists, type Home, homeOf } from './home.ts';
import { holdersKnown, nameOf } from './keyring.ts';
import { loadProposal, proposalFile, saveProposal } from './proposals.ts';
import { report, type Result } from './result.ts';
import { adoptRole } from './signing.ts';

export function releaseFinishCommand(context: CommandContext): Command {
  return new Command('finish')
    .description('Take in a proposal that others have signed, so that it counts on this machine too')
    .argument('<file>', 'the proposal, as the last of them sent it')
    .option('--json', 'answer in JSON')
    .addHelpText(
      'after',
      `
It is verified as it was before it was signed. Everybody who keeps documents of their own runs it on the same file; one of them publishes.
It needs no key, and is safe to run again.

Examples:
  $ tidegate release finish acme.dc150-1.2.0.json`,
    )
    .action((file: string, options: { json?: boolean }) =>
      report(context, options, () => finish(context, file)),
    );
}

async function finish(context: CommandContext, name: string): Promise<Result> {
  const home = homeOf(context);
  const { proposal } = await loadProposal(resolve(context.cwd, name));
  const copy = await readWorkingCopy(home.repository);
  const checked = checkProposal(copy, proposal, now(context));
  const role = productRole(copy.targets.metadata, proposal.product);
  const holders = await holdersKnown(home, role, copy);
  const { status, adopted } = checked;
  if (!adopted && !status.complete) {
    const lacking = status.threshold - status.signed.length;
    const others = status.missing.map((keyId) => nameOf(keyId, holders)).join(', ');
    throw new RepositoryError('THRESHOLD_NOT_MET', `${name} lacks ${lacking} of ${others}`);
  }
  const file = await keepProposal(home, proposal);
  if (!adopted) await adoptRole(home, proposal);
  return {
    json: proposalJson(file, proposal, checked, holders),
    lines: [
      ...describeProposal(proposal, checked, copy.products.get(proposal.product)?.metadata),
      ...describeSignatures(proposal, status, holders),
      adopted ? 'It counts here already.' : 'All have signed: it counts here from now on.',
      'Next, on one machine: tidegate publish',
    ],
  };
}

/**
 * Puts a proposal that has its signatures where `publish` looks for what it sends.
 * @throws RepositoryError `PROPOSAL_EXISTS` where another one of its name is kept.
 */
export async function keepProposal(home: Home, proposal: Proposal): Promise<string> {
  const plain = proposalFile(home, proposal);
  const file =
    (await exists(plain)) && !(await isSame(plain, proposal)) ? proposalFile(home, proposal, true) : plain;
  if ((await exists(file)) && !(await isSame(file, proposal))) {
    throw new RepositoryError('PROPOSAL_EXISTS', file);
  }
  await saveProposal(file, proposal);
  return file;
}

async function isSame(file: string, { role }: Proposal): Promise<boolean> {
  return same((await loadProposal(file)).proposal.role.signed, role.signed);
}
