/**
 * What a release engineer types.
 *
 * - `signerCommands(context): Command[]`: `init`, `product`, `sign`, `reattest`, `release`, `key`, `ceremony`. A failed command writes its error and sets the exit
 *   code: 1 refused or failed, 2 the command line is wrong.
 * - For `publish`: `homeOf(context)`, `listProposals`, `loadProposal`, `findProposal`, `filesOf(proposal)`, and
 *   `publicationSteps` of the repository room.
 * - For the service's first start: `completeCredentials(folder, ca)`.
 */
import type { Command } from 'commander';
import { ceremonyCommand } from './ceremony-command.ts';
import type { CommandContext } from './context.ts';
import { initCommand } from './init.ts';
import { keyCommand } from './key.ts';
import { productCommand } from './product.ts';
import { reattestCommand } from './reattest.ts';
import { releaseCommand } from './release.ts';
import { signCommand } from './sign.ts';

export function signerCommands(context: CommandContext): Command[] {
  return [
    initCommand(context),
    productCommand(context),
    signCommand(context),
    reattestCommand(context),
    releaseCommand(context),
    keyCommand(context),
    ceremonyCommand(context),
  ];
}

export type { CommandContext } from './context.ts';
export { COMMAND_ERRORS, CommandError, type CommandErrorCode, explain } from './errors.ts';
export { completeCredentials, type CredentialFile, type OperatorEntry } from './credentials.ts';
export { type Ceremony, type Home, homeAt, homeOf, personKey, readCeremony } from './home.ts';
export { openKey } from './keyring.ts';
export { isAdopted } from './release-target.ts';
export { dropProposal } from './release-drop.ts';
export { localRelease, localReleases, type LocalRelease } from './release.ts';
export {
  filesOf,
  findProposal,
  listProposals,
  loadProposal,
  proposalFile,
  type ReleaseFiles,
  type StoredProposal,
} from './proposals.ts';
