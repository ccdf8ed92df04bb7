import { Command } from 'commander';
import {
  checkProposal,
  productRole,
  type ChangeKind,
  nameOfProposal,
  readWorkingCopy,
  signatureStatus,
  versionOf,
  type WorkingCopy,
} from '../repository/index.ts';
import { type CommandContext, now } from './context.ts';
import { cosignCommand } from './cosign.ts';
import { describeProposal, describeSignatures, proposalJson } from './describe.ts';
import { type Home, homeOf } from './home.ts';
import { holdersKnown, nameOf } from './keyring.ts';
import { findProposal, listProposals, referenceOf, type StoredProposal } from './proposals.ts';
import { proposeCommand } from './propose.ts';
import { releaseDropCommand } from './release-drop.ts';
import { releaseFinishCommand } from './release-finish.ts';
import { upkeepCommands } from './upkeep.ts';
import { report, type Result } from './result.ts';

export function releaseCommand(context: CommandContext): Command {
  const release = new Command('release').description('Releases: propose, cosign, look at, and look after');
  release.addCommand(proposeCommand(context));
  release.addCommand(cosignCommand(context));
  release.addCommand(releaseFinishCommand(context));
  release.addCommand(releaseDropCommand(context));
  for (const command of upkeepCommands(context)) release.addCommand(command);
  release
    .command('list')
    .description('Proposals on this machine')
    .option('--json', 'answer in JSON')
    .addHelpText('after', '\nExamples:\n  $ tidegate release list\n  $ tidegate release list --json')
    .action((options: { json?: boolean }) => report(context, options, () => list(context)));
  release
    .command('show')
    .description('One proposal, verified, in plain words')
    .argument('<proposal>', 'its file, or <product>@<version>')
    .option('--json', 'answer in JSON')
    .addHelpText('after', '\nExamples:\n  $ tidegate release show acme.dc150@1.2.0')
    .action((name: string, options: { json?: boolean }) =>
      report(context, options, () => show(context, name)),
    );
  return release;
}

/** One line of `release list`. */
export interface LocalRelease {
  /** What the proposal does. */
  kind: ChangeKind;
  product: string;
  /** Of the release that it is about; null where it is about the whole role. */
  version: string | null;
  /** In messages, e.g. `acme.dc150 1.2.0 (yank)`; and as the command line takes it, e.g. `acme.dc150@1.2.0`. */
  name: string;
  reference: string;
  /** Of the image of a new release. */
  sha256: string | null;
  signatures: number;
  threshold: number;
  /** Enough signatures: it can be published. */
  complete: boolean;
  /** Who may still sign: by name where their key is on this machine, else by key. */
  missing: string[];
  /** Of the product role. */
  roleVersion: number;
  proposal: string;
}

/** The proposals of this machine, without what only the service knows. */
export async function localReleases(home: Home): Promise<LocalRelease[]> {
  const copy = await readWorkingCopy(home.repository);
  const releases: LocalRelease[] = [];
  for (const stored of await listProposals(home)) releases.push(await localRelease(home, stored, copy));
  return releases;
}

/** @param working read when left out. */
export async function localRelease(
  home: Home,
  { file, proposal }: StoredProposal,
  working?: WorkingCopy,
): Promise<LocalRelease> {
  const copy = working ?? (await readWorkingCopy(home.repository));
  const { product, change, role } = proposal;
  const signers = productRole(copy.targets.metadata, product);
  const status = signatureStatus(role, signers);
  const holders = await holdersKnown(home, signers, copy);
  return {
    kind: change.kind,
    product,
    version: versionOf(change) ?? null,
    name: nameOfProposal(proposal),
    reference: referenceOf(proposal),
    sha256: change.kind === 'release' ? change.target.sha256 : null,
    signatures: status.signed.length,
    threshold: status.threshold,
    complete: status.complete,
    missing: status.complete ? [] : status.missing.map((keyId) => nameOf(keyId, holders)),
    roleVersion: role.signed.version,
    proposal: file,
  };
}

async function list(context: CommandContext): Promise<Result> {
  const releases = await localReleases(homeOf(context));
  const lines = releases.map(
    ({ name, signatures, threshold, complete, missing }) =>
      `${name}  ${signatures} of ${threshold} signatures, ${complete ? 'ready to publish' : `not yet ${missing.join(', ')}`}`,
  );
  return { json: { releases }, lines: lines.length === 0 ? ['No proposals here.'] : lines };
}

async function show(context: CommandContext, name: string): Promise<Result> {
  const home = homeOf(context);
  const { file, proposal } = await findProposal(home, context.cwd, name);
  const copy = await readWorkingCopy(home.repository);
  const checked = checkProposal(copy, proposal, now(context));
  const holders = await holdersKnown(home, productRole(copy.targets.metadata, proposal.product), copy);
  return {
    json: proposalJson(file, proposal, checked, holders),
    lines: [
      ...describeProposal(proposal, checked, copy.products.get(proposal.product)?.metadata),
      ...describeSignatures(proposal, checked.status, holders),
    ],
  };
}
