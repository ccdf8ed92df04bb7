/** What cannot be published yet, and whose signatures it waits for. */
import {
  findProposal,
  filesOf,
  homeOf,
  localRelease,
  type LocalRelease,
  listProposals,
  type StoredProposal,
  localReleases,
} from '@tidegate/signer/commands';
import {
  type Metadata,
  type PublicationStep,
  type PublishedVersions,
  releasesOf,
  RepositoryError,
  type Targets,
} from '@tidegate/signer/repository';
import { CommandError, type CommandContext, EXIT } from './context.ts';

export interface PublishedRelease {
  path: string;
  sha256: string;
}

/** What is newer here than at the service, and lacks signatures. */
export async function unsigned(
  context: CommandContext,
  published: PublishedVersions,
): Promise<LocalRelease[]> {
  const here = await localReleases(homeOf(context));
  return here.filter((one) => !one.complete && one.roleVersion > (published.roles[one.product] ?? 0));
}

/**
 * The named release must be among what goes out, or be out already.
 * @throws CommandError `SIGNATURES_MISSING`, `VERSION_EXISTS`; RepositoryError `PROPOSAL_STALE` where another release has taken its place.
 */
export async function requireSigned(
  context: CommandContext,
  name: string,
  steps: PublicationStep[],
  at: { published: PublishedRelease[]; versions: PublishedVersions },
): Promise<void> {
  const stored = await findProposal(homeOf(context), context.cwd, name);
  if (isAmong(stored, [...at.published, ...steps.flatMap(releasesIn)])) return;
  const release = await localRelease(homeOf(context), stored);
  const overtaken = release.roleVersion <= (at.versions.roles[release.product] ?? 0);
  if (!release.complete && !overtaken) throw signaturesMissing(release);
  throw notPublished(stored, at.published);
}

/**
 * Whatever has its signatures here must be out, where there is nothing to send: another desk may have published another release under
 * the same version of the role.
 * @throws CommandError `VERSION_EXISTS`; RepositoryError `PROPOSAL_STALE`
 */
export async function requireAllOut(context: CommandContext, published: PublishedRelease[]): Promise<void> {
  for (const stored of await listProposals(homeOf(context))) {
    const { complete } = await localRelease(homeOf(context), stored);
    if (complete && !isAmong(stored, published)) throw notPublished(stored, published);
  }
}

function isAmong({ proposal }: StoredProposal, releases: PublishedRelease[]): boolean {
  const { image } = filesOf(proposal);
  return releases.some(({ path, sha256 }) => path === image.path && sha256 === image.sha256);
}

function notPublished({ file, proposal }: StoredProposal, published: PublishedRelease[]): Error {
  const { image } = filesOf(proposal);
  const other = published.find(({ path }) => path === image.path);
  if (other === undefined) return new RepositoryError('PROPOSAL_STALE', file);
  return new CommandError(
    EXIT.failed,
    'VERSION_EXISTS',
    `${proposal.product} ${proposal.version} is published with other bytes, SHA-256 ${other.sha256}. Give the new build a new version.`,
  );
}

export function signaturesMissing(release: LocalRelease): CommandError {
  return new CommandError(EXIT.failed, 'SIGNATURES_MISSING', lacks(release));
}

export function lacks({ product, version, signatures, threshold, missing }: LocalRelease): string {
  const has = `${product} ${version} has ${signatures} of ${threshold} signatures.`;
  return `${has} Let ${missing.join(' or ')} run: tidegate release cosign ${product}@${version} --key …`;
}

export function releasesIn(step: PublicationStep) {
  return Object.values(step.products).flatMap((text) => releasesOf(JSON.parse(text) as Metadata<Targets>));
}
