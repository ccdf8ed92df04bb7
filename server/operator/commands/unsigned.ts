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
  nameOfProposal,
  type PublicationStep,
  type PublishedVersions,
  releasesOf,
  RepositoryError,
  same,
  type Targets,
  versionOf,
} from '@tidegate/signer/repository';
import { CommandError, type CommandContext, EXIT } from './context.ts';

interface File {
  path: string;
  sha256: string;
}

/** A release as far as it tells whether a proposal is out. */
export interface PublishedRelease extends File {
  product: string;
  version: string;
  bundles: File[];
  sbom: File | null;
  deprecated: string | null;
  yankedAt: string | null;
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
  const stored = await findProposal(homeOf(context), context.cwd, name, { signed: true });
  if (isOut(stored, at.published, at.versions) || isIn(stored, steps)) return;
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
export async function requireAllOut(
  context: CommandContext,
  published: PublishedRelease[],
  versions: PublishedVersions,
): Promise<void> {
  for (const stored of await listProposals(homeOf(context))) {
    const { complete } = await localRelease(homeOf(context), stored);
    if (complete && !isOut(stored, published, versions)) throw notPublished(stored, published);
  }
}

/** Whether the very role of the proposal goes out now. */
function isIn({ proposal: { product, role } }: StoredProposal, steps: PublicationStep[]): boolean {
  return steps.some(({ products }) => {
    const text = products[product];
    return text !== undefined && same((JSON.parse(text) as Metadata<Targets>).signed, role.signed);
  });
}

/**
 * Whether what the proposal does is done at the service. Only while its role is the newest can that be told of anything but a release:
 * what came after may have undone it, as it may.
 */
function isOut(
  { proposal }: StoredProposal,
  published: PublishedRelease[],
  versions: PublishedVersions,
): boolean {
  const { change, product, role } = proposal;
  if (change.kind === 'release') {
    const { path, sha256 } = change.target;
    return published.some((one) => one.path === path && one.sha256 === sha256);
  }
  const at = versions.roles[product] ?? 0;
  if (role.signed.version !== at) return role.signed.version < at;
  const version = versionOf(change);
  const release = published.find((one) => one.product === product && one.version === version);
  const target = releasesOf(role).find(({ custom }) => custom.version === version);
  if (change.kind === 'yank') return release === undefined || release.yankedAt !== null;
  if (target === undefined) return true;
  const { bundles, sbom, deprecated = null } = target.custom;
  return (
    release !== undefined &&
    release.deprecated === deprecated &&
    (release.sbom?.sha256 ?? null) === (sbom?.sha256 ?? null) &&
    same(release.bundles.map(digestOf), bundles.map(digestOf))
  );
}

const digestOf = ({ sha256 }: { sha256: string }): string => sha256;

function notPublished({ file, proposal }: StoredProposal, published: PublishedRelease[]): Error {
  const { image } = filesOf(proposal);
  const other = published.find(({ path }) => path === image?.path);
  if (other === undefined) return new RepositoryError('PROPOSAL_STALE', file);
  return new CommandError(
    EXIT.failed,
    'VERSION_EXISTS',
    `${nameOfProposal(proposal)} is published with other bytes, SHA-256 ${other.sha256}. Give the new build a new version.`,
  );
}

export function signaturesMissing(release: LocalRelease): CommandError {
  return new CommandError(EXIT.failed, 'SIGNATURES_MISSING', lacks(release));
}

export function lacks({ name, reference, signatures, threshold, missing }: LocalRelease): string {
  const has = `${name} has ${signatures} of ${threshold} signatures.`;
  return `${has} Let ${missing.join(' or ')} run: tidegate release cosign ${reference} --key …`;
}

export function releasesIn(step: PublicationStep) {
  return Object.values(step.products).flatMap((text) => releasesOf(JSON.parse(text) as Metadata<Targets>));
}
