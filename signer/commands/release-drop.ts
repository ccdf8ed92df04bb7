import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { listVersions, nameOfProposal, RepositoryError } from '../repository/index.ts';
import type { CommandContext } from './context.ts';
import { type Home, homeOf } from './home.ts';
import { findProposal, listProposals, type StoredProposal } from './proposals.ts';
import { report, type Result } from './result.ts';

export function releaseDropCommand(context: CommandContext): Command {
  return new Command('drop')
    .description('Forget a proposal on this machine that is not to be published')
    .argument('<proposal>', '<product>@<version>, <product>, or its file')
    .option('--json', 'answer in JSON')
    .addHelpText('after', '\nExamples:\n  $ tidegate release drop acme.dc150@1.2.0')
    .action((name: string, options: { json?: boolean }) =>
      report(context, options, async () => {
        const home = homeOf(context);
        return dropProposal(home, await findProposal(home, context.cwd, name, { signed: true }), false);
      }),
    );
}

/**
 * Takes a proposal off this machine: its file, and the role that it made, where all have signed it. The product goes on from the role before.
 * @param unpublished whether the service has been asked, and has neither this version of the role nor a later one.
 * @throws RepositoryError `PROPOSAL_SIGNED`, `PROPOSAL_BUILT_ON`, `WORKING_COPY_BROKEN`.
 */
export async function dropProposal(
  home: Home,
  { file, proposal }: StoredProposal,
  unpublished: boolean,
): Promise<Result> {
  const { product, role } = proposal;
  const name = nameOfProposal(proposal);
  const { version } = role.signed;
  const versions = (await listVersions(home.repository)).get(product) ?? [];
  const newest = versions.at(-1) ?? 0;
  const signed = version <= newest;
  if (signed && !unpublished) throw new RepositoryError('PROPOSAL_SIGNED', name);
  const later = (await listProposals(home)).find(
    (one) => one.proposal.product === product && one.proposal.role.signed.version > version,
  );
  if (later !== undefined || (signed && version < newest)) {
    throw new RepositoryError(
      'PROPOSAL_BUILT_ON',
      later === undefined ? name : nameOfProposal(later.proposal),
    );
  }
  if (signed) {
    if (!versions.includes(version - 1)) {
      throw new RepositoryError('WORKING_COPY_BROKEN', `${product} ${version - 1} is not here`);
    }
    // First: a proposal without its role can be dropped once more, a role without its proposal could not.
    await rm(join(home.repository, `${version}.${product}.json`));
  }
  await rm(file);
  return {
    json: { dropped: name, product, roleVersion: version, signed, file },
    lines: [
      `Dropped ${name}. ${product} goes on here from version ${signed ? version - 1 : newest} of its role.`,
      ...(signed
        ? [
            'All had signed it, so whoever has a copy can still publish it: run the same on every machine that has taken it in.',
          ]
        : []),
    ],
  };
}
