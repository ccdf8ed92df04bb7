/** A change of a product role on its way to its signatures: the role's next version, with everything that a cosigner needs to judge it. */
import { createHash } from 'node:crypto';
import { Refusal, type ReleaseTarget, type SideFile } from '@tidegate/client-sdk/protocol';
import { ReleaseReview, type VerifiedRelease } from '@tidegate/client-sdk/trust';
import { applyChange, type Change, versionOf } from './changes.ts';
import { RepositoryError } from './errors.ts';
import { LIFETIME_DAYS } from './lifetimes.ts';
import { bump } from './author.ts';
import type { Metadata, Targets } from './metadata.ts';
import { productRole } from './products.ts';
import { releasesOf, same } from './releases.ts';
import { signatureStatus, type SignatureStatus } from './signatures.ts';
import type { WorkingCopy } from './working-copy.ts';

export interface Proposal {
  _type: 'tidegate-proposal';
  product: string;
  /** The role is exactly the one before with this done to it. */
  change: Change;
  /** Where the image of a new release lies on the machine of the person who proposed it. */
  imageFile?: string;
  /**
   * Bundles and SBOMs of the release, base64: all that the change lists first, and what the proposer has of the others, so that a
   * cosigner can verify the whole of it.
   */
  files: string[];
  /** The product role as it will be published. */
  role: Metadata<Targets>;
}

/**
 * Makes the product role's next version with the change in it, unsigned, after verifying what it lists as a charger would.
 * @param now milliseconds since the epoch.
 * @throws RepositoryError `PRODUCT_UNKNOWN`, and as `applyChange`; Refusal as `verifyRelease`.
 */
export function propose(
  copy: WorkingCopy,
  input: { product: string; change: Change; files?: Uint8Array[]; imageFile?: string },
  now: number,
): Proposal {
  const { product, change, files = [], imageFile } = input;
  const role = bump(applyChange(currentRole(copy, product), product, change), 'product', now);
  const proposal: Proposal = {
    _type: 'tidegate-proposal',
    product,
    change,
    ...(imageFile === undefined ? {} : { imageFile }),
    files: files.map((bytes) => Buffer.from(bytes).toString('base64')),
    role,
  };
  checkProposal(copy, proposal, now);
  return proposal;
}

export interface CheckedProposal {
  change: Change;
  /** The release that the change is about, as the role will list it; as it lists it now where it is yanked; null for a change of none. */
  target: ReleaseTarget | null;
  /** As the newest role lists that release; null where it does not. */
  before: ReleaseTarget | null;
  /** Null where the change leaves attestations alone, or not all of them are at hand: then the service alone can judge them. */
  verified: VerifiedRelease | null;
  /** Who made the bundles that the change adds, in its order. */
  addedBy: string[];
  status: SignatureStatus;
  /** Whether the newest role holds this change already: it has the signatures it needs, and nothing is left to sign. */
  adopted: boolean;
}

/**
 * Looks at somebody else's proposal before it is signed or published: it is the next version of the role, it changes nothing but
 * what it names, and what it lists verifies as on a charger.
 * @throws RepositoryError `PRODUCT_UNKNOWN`, `PROPOSAL_STALE`, `PROPOSAL_TAMPERED`, and as `applyChange`; Refusal as `verifyRelease`.
 */
export function checkProposal(copy: WorkingCopy, proposal: Proposal, now: number): CheckedProposal {
  const { product, change, role } = proposal;
  const current = currentRole(copy, product);
  const status = signatureStatus(role, productRole(copy.targets.metadata, product));
  const adopted = isAdopted(current, proposal, status);
  if (!adopted) requireNext(current, proposal, now);
  const version = versionOf(change);
  const find = (from: Metadata<Targets>) =>
    releasesOf(from).find(({ custom }) => custom.version === version) ?? null;
  const before = find(current);
  const target = find(role) ?? before;
  const seen = attestationsOf(copy, proposal, target);
  return { change, target, before, ...seen, status, adopted };
}

/** What a proposal is called in messages. */
export function nameOfProposal({ product, change }: Pick<Proposal, 'product' | 'change'>): string {
  const version = versionOf(change);
  const release = version === undefined ? product : `${product} ${version}`;
  return change.kind === 'release' ? release : `${release} (${change.kind})`;
}

/**
 * Of a release, whether it is listed now with these bytes, whatever was said of it since; of any other change, whether it is the newest
 * role or was signed by enough before that.
 */
function isAdopted(current: Metadata<Targets>, { change, role }: Proposal, status: SignatureStatus): boolean {
  if (role.signed.version > current.signed.version) return false;
  if (change.kind === 'release') {
    const listed = current.signed.targets[change.target.path];
    return listed?.hashes.sha256 === change.target.sha256 && listed.length === change.target.length;
  }
  if (role.signed.version === current.signed.version) return same(role.signed, current.signed);
  return status.complete;
}

function requireNext(current: Metadata<Targets>, proposal: Proposal, now: number): void {
  const { product, change, role } = proposal;
  const name = nameOfProposal(proposal);
  if (role.signed.version > current.signed.version + 1) throw new RepositoryError('PROPOSAL_AHEAD', name);
  if (role.signed.version !== current.signed.version + 1) throw new RepositoryError('PROPOSAL_STALE', name);
  const { version, expires } = role.signed;
  const expected = { ...applyChange(current, product, change).signed, version, expires };
  if (!same(role.signed, expected)) throw new RepositoryError('PROPOSAL_TAMPERED', name);
  // Design §3: offline roles live at most 90 days. Nor is one signed that is dead already.
  const life = Date.parse(expires) - now;
  if (!(life > 0 && life <= LIFETIME_DAYS.product * 24 * 60 * 60 * 1000)) {
    throw new RepositoryError('PROPOSAL_TAMPERED', `${name} lives until ${expires}`);
  }
}

/** @throws RepositoryError `PROPOSAL_TAMPERED` where a file is missing that the change lists, or one is there that nothing lists. */
function attestationsOf(
  copy: WorkingCopy,
  proposal: Proposal,
  target: ReleaseTarget | null,
): Pick<CheckedProposal, 'verified' | 'addedBy'> {
  const { change, product } = proposal;
  const files = filesByDigest(proposal);
  if (target === null || (change.kind !== 'release' && change.kind !== 'attest')) {
    if (files.size > 0) throw new RepositoryError('PROPOSAL_TAMPERED', nameOfProposal(proposal));
    return { verified: null, addedBy: [] };
  }
  const { bundles, sbom } = change.kind === 'release' ? change.target.custom : target.custom;
  const added = change.kind === 'release' ? bundles : change.add;
  const addedSbom = change.kind === 'release' ? sbom : (change.sbom ?? null);
  const take = ({ sha256, length }: SideFile) => {
    const bytes = files.get(sha256);
    return bytes?.length === length ? bytes : undefined;
  };
  const must = (file: SideFile) => {
    const bytes = take(file);
    if (bytes === undefined) throw new RepositoryError('PROPOSAL_TAMPERED', `${file.path} is not in it`);
    return bytes;
  };
  const question = {
    target: change.kind === 'release' ? change.target : target,
    product,
    policy: copy.policy,
    sigstoreRoot: copy.sigstoreRoot,
  };
  // One good bundle suffices for a charger; a bad one beside it is a mistake that is cheap to find here.
  const addedBy = added.map(must).map((bundle) => signerOf(question, bundle));
  const review = new ReleaseReview(question);
  const here = bundles.flatMap((file) => take(file) ?? []);
  for (const bundle of here) review.takeBundle(bundle);
  const sbomHere = sbom === null ? undefined : addedSbom === null ? take(sbom) : must(addedSbom);
  // One that nobody asks for, and that was listed before, may be as dead as its builder's key.
  if (sbomHere !== undefined && (addedSbom !== null || review.wantsSbom)) review.takeSbom(sbomHere);
  if (files.size > here.length + (sbomHere === undefined ? 0 : 1)) {
    throw new RepositoryError(
      'PROPOSAL_TAMPERED',
      `${nameOfProposal(proposal)} brings what it does not list`,
    );
  }
  const all = here.length === bundles.length && (sbom === null || sbomHere !== undefined);
  try {
    return { verified: review.verdict(), addedBy };
  } catch (error) {
    if (all || !(error instanceof Refusal)) throw error;
    return { verified: null, addedBy };
  }
}

/** Who made this bundle: alone it need not be enough for the policy, but it must count. @throws Refusal */
function signerOf(question: ConstructorParameters<typeof ReleaseReview>[0], bundle: Buffer): string {
  const alone = new ReleaseReview(question);
  alone.takeBundle(bundle);
  return alone.first().signer;
}

/** The files that a proposal brings, by SHA-256. */
export function filesByDigest({ files }: Pick<Proposal, 'files'>): Map<string, Buffer> {
  return new Map(
    files.map((text) => {
      const bytes = Buffer.from(text, 'base64');
      return [createHash('sha256').update(bytes).digest('hex'), bytes];
    }),
  );
}

function currentRole(copy: WorkingCopy, product: string): Metadata<Targets> {
  const current = copy.products.get(product);
  if (current === undefined) throw new RepositoryError('PRODUCT_UNKNOWN', product);
  return current.metadata;
}
