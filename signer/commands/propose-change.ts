/** What every command that proposes does: the change is made, verified, signed first, and kept for the others to cosign. */
import {
  type Change,
  checkProposal,
  nameOfProposal,
  propose,
  readWorkingCopy,
  RepositoryError,
  type WorkingCopy,
} from '../repository/index.ts';
import { type CommandContext, now } from './context.ts';
import { describeProposal, describeSignatures, proposalJson } from './describe.ts';
import { exists, type Home, homeOf, keyHint } from './home.ts';
import { holdersKnown } from './keyring.ts';
import { listProposals, proposalFile, referenceOf, saveProposal, sideFilesHere } from './proposals.ts';
import type { Result } from './result.ts';
import { adoptRole, openSignerKey, roleOf, signProposal } from './signing.ts';

export interface Wanted {
  change: Change;
  /** Bundles and SBOMs, those of the release that are no part of the change included. */
  files?: Uint8Array[];
  imageFile?: string;
}

export interface Desk {
  home: Home;
  copy: WorkingCopy;
  /** Bundles and SBOMs in the proposals of this machine, by SHA-256. */
  here: ReadonlyMap<string, Buffer>;
  /** Milliseconds since the epoch. */
  at: number;
}

/**
 * @param describe says what is wanted, from what the product role says now.
 * @throws RepositoryError `PROPOSAL_EXISTS`, `PROPOSAL_PENDING`, and as `propose`; KeyError; CommandError `KEY_UNNAMED`; Refusal.
 */
export async function proposeChange(
  context: CommandContext,
  product: string,
  key: string | undefined,
  describe: (desk: Desk) => Wanted | Promise<Wanted>,
): Promise<Result> {
  const home = homeOf(context);
  const copy = await readWorkingCopy(home.repository);
  const at = now(context);
  await refuseSecond(home, copy, product);
  const wanted = await describe({ home, copy, here: await sideFilesHere(home), at });
  const unsigned = propose(copy, { product, ...wanted }, at);
  const file = proposalFile(home, unsigned, await exists(proposalFile(home, unsigned)));

  const role = roleOf(copy, product);
  const proposal = await signProposal(unsigned, role, await openSignerKey(context, key));
  const checked = checkProposal(copy, proposal, at);
  await saveProposal(file, proposal, { exclusive: true });
  if (checked.status.complete) await adoptRole(home, proposal);

  const holders = await holdersKnown(home, role, copy);
  return {
    json: proposalJson(file, proposal, checked, holders),
    lines: [
      ...describeProposal(proposal, checked, copy.products.get(product)?.metadata),
      ...describeSignatures(proposal, checked.status, holders),
      `Proposal: ${file}`,
      checked.status.complete
        ? 'Next: tidegate publish'
        : `Next, by another of them: tidegate release cosign ${referenceOf(proposal)} --key ${await keyHint(home, context.cwd, product)}`,
      ...(checked.status.complete
        ? []
        : [
            `  on a machine of their own: send them this file${imageToo(proposal)}, and cosign takes it by name`,
          ]),
    ],
  };
}

const imageToo = ({ imageFile }: { imageFile?: string }): string =>
  imageFile === undefined ? '' : ' and the image';

/** Two proposals of one product would both be the role's next version; whichever came second would have to be signed again. */
async function refuseSecond(home: Home, copy: WorkingCopy, product: string): Promise<void> {
  const current = copy.products.get(product)?.metadata.signed;
  const pending = (await listProposals(home)).find(
    ({ proposal }) => proposal.product === product && proposal.role.signed.version > (current?.version ?? 0),
  );
  if (pending === undefined) return;
  throw new RepositoryError('PROPOSAL_PENDING', `${nameOfProposal(pending.proposal)} in ${pending.file}`);
}
