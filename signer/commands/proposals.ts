/** Proposals on disk: `releases/<product>-<version>.json`. */
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PRODUCT } from '@tidegate/client-sdk/protocol';
import {
  bundlesOf,
  type Proposal,
  parseProposal,
  readWorkingCopy,
  releasesOf,
  RepositoryError,
} from '../repository/index.ts';
import { writeWhole } from '../whole-file.ts';
import { CommandError } from './errors.ts';
import { exists, type Home } from './home.ts';
import { readSmallFile } from './options.ts';

/** A product role of thousands of releases fits, twice over. */
const MAX_PROPOSAL_BYTES = 32 * 1024 * 1024;

export interface StoredProposal {
  file: string;
  proposal: Proposal;
}

export function proposalFile(home: Home, product: string, version: string): string {
  return join(home.releases, `${product}-${version}.json`);
}

/** @throws CommandError `FILE_UNREADABLE`; RepositoryError `PROPOSAL_MALFORMED`. */
export async function loadProposal(file: string): Promise<StoredProposal> {
  return { file, proposal: parseProposal(await readSmallFile(file, MAX_PROPOSAL_BYTES)) };
}

/** @param options.exclusive refuses to take the place of another proposal: `PROPOSAL_EXISTS`. */
export async function saveProposal(
  file: string,
  proposal: Proposal,
  options: { exclusive?: boolean } = {},
): Promise<void> {
  try {
    await writeWhole(file, `${JSON.stringify(proposal)}\n`, options);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') {
      throw new RepositoryError('PROPOSAL_EXISTS', file, { cause });
    }
    throw cause;
  }
}

/** All proposals here, complete ones too, by product and role version. */
export async function listProposals(home: Home): Promise<StoredProposal[]> {
  const names = await readdir(home.releases).catch((): string[] => []);
  const proposals: StoredProposal[] = [];
  for (const name of names.filter((file) => file.endsWith('.json') && !file.startsWith('.'))) {
    proposals.push(await loadProposal(join(home.releases, name)));
  }
  return proposals.sort(
    (a, b) =>
      a.proposal.product.localeCompare(b.proposal.product) ||
      a.proposal.role.signed.version - b.proposal.role.signed.version,
  );
}

/**
 * By file; by product and version as `acme.dc150@1.2.0`; by product alone, or by nothing, where only one waits for signatures.
 * @throws CommandError `PROPOSAL_UNNAMED`, `FILE_UNREADABLE`; RepositoryError `PROPOSAL_MISSING`, `PROPOSAL_MALFORMED`.
 */
export async function findProposal(
  home: Home,
  cwd: string,
  name: string | undefined,
): Promise<StoredProposal> {
  if (name === undefined) return onlyOpen(home, undefined);
  const [, product, version] = /^([^/@]+)@([^/@]+)$/.exec(name) ?? [];
  if (product === undefined || version === undefined) {
    const file = resolve(cwd, name);
    if (/[/\\]|\.json$/.test(name) || (await exists(file))) return loadProposal(file);
    if (PRODUCT.test(name)) return onlyOpen(home, name);
    throw new CommandError('PROPOSAL_UNNAMED', `${name} is neither a file here nor <product>@<version>`);
  }
  const found = (await listProposals(home)).find(
    ({ proposal }) => proposal.product === product && proposal.version === version,
  );
  if (found === undefined) throw new RepositoryError('PROPOSAL_MISSING', name);
  return found;
}

async function onlyOpen(home: Home, product: string | undefined): Promise<StoredProposal> {
  const open = (await openProposals(home)).filter(
    ({ proposal }) => product === undefined || proposal.product === product,
  );
  const [only] = open;
  if (only === undefined) {
    throw new RepositoryError(
      'PROPOSAL_MISSING',
      `Nothing${product === undefined ? '' : ` of ${product}`} waits`,
    );
  }
  if (open.length === 1) return only;
  const names = open.map(({ proposal }) => `${proposal.product}@${proposal.version}`);
  throw new CommandError('PROPOSAL_UNNAMED', `${names.join(' and ')} wait for signatures`);
}

/** Proposals that still build on the working copy's role: those that lack signatures. */
export async function openProposals(home: Home): Promise<StoredProposal[]> {
  const { products } = await readWorkingCopy(home.repository);
  return (await listProposals(home)).filter(
    ({ proposal }) =>
      proposal.role.signed.version > (products.get(proposal.product)?.metadata.signed.version ?? 0),
  );
}

/** Image and bundles of a proposal, as they are to be published. */
export interface ReleaseFiles {
  image: { path: string; sha256: string; length: number; file: string };
  bundles: { path: string; sha256: string; length: number; bytes: Buffer }[];
}

/** @throws RepositoryError `PROPOSAL_TAMPERED`. */
export function filesOf(proposal: Proposal): ReleaseFiles {
  const target = releasesOf(proposal.role).find(({ custom }) => custom.version === proposal.version);
  if (target === undefined) throw new RepositoryError('PROPOSAL_TAMPERED', proposal.version);
  const bundles = bundlesOf(proposal, target);
  const { path, sha256, length } = target;
  return {
    image: { path, sha256, length, file: proposal.imageFile },
    bundles: target.custom.bundles.map((listed, i) => ({ ...listed, bytes: bundles[i] ?? Buffer.alloc(0) })),
  };
}
