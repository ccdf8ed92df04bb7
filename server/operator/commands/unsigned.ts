/** What cannot be published yet, and whose signatures it waits for. */
import {
  findProposal,
  filesOf,
  homeOf,
  localRelease,
  type LocalRelease,
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
 * @throws CommandError `SIGNATURES_MISSING`; RepositoryError `PROPOSAL_STALE` where another release has taken its place.
 */
export async function requireSigned(
  context: CommandContext,
  name: string,
  steps: PublicationStep[],
  { published, versions }: { published: PublishedRelease[]; versions: PublishedVersions },
): Promise<void> {
  const stored = await findProposal(homeOf(context), context.cwd, name);
  const { image } = filesOf(stored.proposal);
  const isIt = ({ path, sha256 }: PublishedRelease) => path === image.path && sha256 === image.sha256;
  if (published.some(isIt) || steps.flatMap(releasesIn).some(isIt)) return;
  const release = await localRelease(homeOf(context), stored);
  const overtaken = release.roleVersion <= (versions.roles[release.product] ?? 0);
  if (release.complete || overtaken) throw new RepositoryError('PROPOSAL_STALE', stored.file);
  throw signaturesMissing(release);
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
