/** One person's signature under a proposal, and what follows when it was the last one needed. */
import { openSigner, type Signer } from '../keys/index.ts';
import {
  addSignature,
  productRole,
  type Proposal,
  type Role,
  type WorkingCopy,
  writeDocument,
} from '../repository/index.ts';
import type { CommandContext } from './context.ts';
import { CommandError } from './errors.ts';
import type { Home } from './home.ts';

/**
 * The signer's own key: who signs follows from it and from nothing else.
 * @throws CommandError `KEY_UNNAMED`; KeyError.
 */
export async function openSignerKey(context: CommandContext, option: string | undefined): Promise<Signer> {
  const reference = option ?? context.env['TIDEGATE_KEY'];
  if (!reference) throw new CommandError('KEY_UNNAMED', 'No key');
  return openSigner(reference, context);
}

export async function signProposal(proposal: Proposal, role: Role, key: Signer): Promise<Proposal> {
  return { ...proposal, role: await addSignature(proposal.role, role, key) };
}

/** A role with enough signatures is the newest one: later proposals build on it, and `publish` sends it. */
export async function adoptRole(home: Home, proposal: Proposal): Promise<void> {
  await writeDocument(home.repository, proposal.product, proposal.role);
}

export function roleOf(copy: WorkingCopy, product: string): Role {
  return productRole(copy.targets.metadata, product);
}
