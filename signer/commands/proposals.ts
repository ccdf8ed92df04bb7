/** Proposals on disk: `releases/<product>-<version>.json` for a release, `releases/<product>-<version>.<kind>-<role version>.json` else. */
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PRODUCT } from '@tidegate/client-sdk/protocol';
import {
  filesByDigest,
  type Proposal,
  parseProposal,
  readWorkingCopy,
  releasesOf,
  RepositoryError,
  versionOf,
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

/** @param again a release that was listed before and is not any more: the file of the first time stays. */
export function proposalFile(home: Home, { product, change, role }: Proposal, again = false): string {
  const version = versionOf(change);
  const release = version === undefined ? product : `${product}-${version}`;
  const kind = change.kind === 'release' && !again ? '' : `.${change.kind}-${role.signed.version}`;
  return join(home.releases, `${release}${kind}.json`);
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
 * @param options.signed where none of a product waits, its newest.
 * @throws CommandError `PROPOSAL_UNNAMED`, `FILE_UNREADABLE`; RepositoryError `PROPOSAL_MISSING`, `PROPOSAL_MALFORMED`.
 */
export async function findProposal(
  home: Home,
  cwd: string,
  name: string | undefined,
  options: { signed?: boolean } = {},
): Promise<StoredProposal> {
  if (name === undefined) return onlyOpen(home, undefined);
  const [, product, version] = /^([^/@]+)@([^/@]+)$/.exec(name) ?? [];
  if (product === undefined || version === undefined) {
    const file = resolve(cwd, name);
    if (/[/\\]|\.json$/.test(name) || (await exists(file))) return loadProposal(file);
    if (PRODUCT.test(name)) {
      const newest = (await listProposals(home)).findLast(({ proposal }) => proposal.product === name);
      return onlyOpen(home, name, options.signed === true ? newest : undefined);
    }
    throw new CommandError('PROPOSAL_UNNAMED', `${name} is neither a file here nor <product>@<version>`);
  }
  // The newest of several: what is asked for is what was proposed last.
  const found = (await listProposals(home)).findLast(
    ({ proposal }) => proposal.product === product && versionOf(proposal.change) === version,
  );
  if (found === undefined) throw new RepositoryError('PROPOSAL_MISSING', name);
  return found;
}

async function onlyOpen(
  home: Home,
  product: string | undefined,
  otherwise?: StoredProposal,
): Promise<StoredProposal> {
  const open = (await openProposals(home)).filter(
    ({ proposal }) => product === undefined || proposal.product === product,
  );
  const only = open[0] ?? otherwise;
  if (only === undefined) {
    throw new RepositoryError(
      'PROPOSAL_MISSING',
      `Nothing${product === undefined ? '' : ` of ${product}`} waits`,
    );
  }
  if (open.length <= 1) return only;
  const names = open.map(({ proposal }) => referenceOf(proposal));
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

/** How the command line names a proposal: `<product>@<version>`, or the product alone for a change of the whole role. */
export function referenceOf({ product, change }: Proposal): string {
  const version = versionOf(change);
  return version === undefined ? product : `${product}@${version}`;
}

/** What a proposal brings to be published. */
export interface ReleaseFiles {
  /** Null where the change lists no new image. */
  image: { path: string; sha256: string; length: number; file: string } | null;
  /** Bundles and SBOMs. */
  side: { path: string; sha256: string; length: number; bytes: Buffer }[];
}

export function filesOf(proposal: Proposal): ReleaseFiles {
  const { change, imageFile, role } = proposal;
  const files = filesByDigest(proposal);
  const version = versionOf(change);
  const target = releasesOf(role).find(({ custom }) => custom.version === version);
  const listed =
    target === undefined
      ? []
      : [...target.custom.bundles, ...(target.custom.sbom === null ? [] : [target.custom.sbom])];
  const side = listed.flatMap((file) => {
    const bytes = files.get(file.sha256);
    return bytes === undefined ? [] : [{ ...file, bytes }];
  });
  if (change.kind !== 'release' || imageFile === undefined) return { image: null, side };
  const { path, sha256, length } = change.target;
  return { image: { path, sha256, length, file: imageFile }, side };
}

/** Bundles and SBOMs that the proposals of this machine hold, by SHA-256. */
export async function sideFilesHere(home: Home): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const { proposal } of await listProposals(home)) {
    for (const [sha256, bytes] of filesByDigest(proposal)) found.set(sha256, bytes);
  }
  return found;
}
