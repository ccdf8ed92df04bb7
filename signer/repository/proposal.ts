/** A release on its way to its signatures: the product role's next version, with everything that a cosigner needs to judge it. */
import { createHash } from 'node:crypto';
import { type ReleaseTarget, SHA256 } from '@tidegate/client-sdk/protocol';
import { verifyRelease, type VerifiedRelease } from '@tidegate/client-sdk/trust';
import { RepositoryError } from './errors.ts';
import { LIFETIME_DAYS } from './lifetimes.ts';
import { bump } from './author.ts';
import type { Metadata, Targets } from './metadata.ts';
import { productRole } from './products.ts';
import { addRelease, releasesOf, same } from './releases.ts';
import { signatureStatus, type SignatureStatus } from './signatures.ts';
import type { WorkingCopy } from './working-copy.ts';

export interface Proposal {
  _type: 'tidegate-proposal';
  product: string;
  version: string;
  /** Where the image lies on the machine of the person who proposed it. */
  imageFile: string;
  /** In the order of `custom.bundles`; base64. */
  bundles: string[];
  /** The product role as it will be published. */
  role: Metadata<Targets>;
}

/**
 * Makes the product role's next version with the release in it, unsigned, after verifying the release as a charger would.
 * @param now milliseconds since the epoch.
 * @throws RepositoryError `PRODUCT_UNKNOWN`, and as `addRelease`; Refusal as `verifyRelease`.
 */
export function proposeRelease(
  copy: WorkingCopy,
  input: { product: string; target: ReleaseTarget; bundles: Uint8Array[]; imageFile: string },
  now: number,
): Proposal {
  const { product, target, bundles, imageFile } = input;
  const current = currentRole(copy, product);
  const role = bump(addRelease(current, product, target), 'product', now);
  const { policy, sigstoreRoot } = copy;
  verifyRelease({ target, bundles, product, policy, sigstoreRoot });
  // One good bundle suffices for a charger; a bad one beside it is a mistake that is cheap to find here.
  for (const bundle of bundles) verifyRelease({ target, bundles: [bundle], product, policy, sigstoreRoot });
  return {
    _type: 'tidegate-proposal',
    product,
    version: target.custom.version,
    imageFile,
    bundles: bundles.map((bundle) => Buffer.from(bundle).toString('base64')),
    role,
  };
}

export interface CheckedProposal {
  target: ReleaseTarget;
  verified: VerifiedRelease;
  status: SignatureStatus;
  /** Whether the newest role lists this very release already: it has the signatures it needs, and nothing is left to sign. */
  adopted: boolean;
}

/**
 * Looks at somebody else's proposal before it is signed or published: it is the next version of the role, it changes nothing but
 * the release that it names, and the release verifies as on a charger.
 * @throws RepositoryError `PRODUCT_UNKNOWN`, `PROPOSAL_STALE`, `PROPOSAL_TAMPERED`, and as `addRelease`; Refusal as `verifyRelease`.
 */
export function checkProposal(copy: WorkingCopy, proposal: Proposal, now: number): CheckedProposal {
  const { product, version, role } = proposal;
  const current = currentRole(copy, product);
  const name = `${product} ${version}`;
  const target = releasesOf(role).find(({ custom }) => custom.version === version);
  if (target === undefined) throw new RepositoryError('PROPOSAL_TAMPERED', name);
  const listed = releasesOf(current).find(({ path }) => path === target.path);
  const adopted =
    role.signed.version <= current.signed.version && listed !== undefined && same(listed, target);
  if (!adopted) {
    if (role.signed.version !== current.signed.version + 1) throw new RepositoryError('PROPOSAL_STALE', name);
    const { expires } = role.signed;
    const expected = {
      ...addRelease(current, product, target).signed,
      version: role.signed.version,
      expires,
    };
    if (!same(role.signed, expected)) throw new RepositoryError('PROPOSAL_TAMPERED', name);
    // Design §3: offline roles live at most 90 days.
    if (!(Date.parse(expires) <= now + LIFETIME_DAYS.product * 24 * 60 * 60 * 1000)) {
      throw new RepositoryError('PROPOSAL_TAMPERED', `${name} lives until ${expires}`);
    }
  }
  const bundles = bundlesOf(proposal, target);
  const { policy, sigstoreRoot } = copy;
  const verified = verifyRelease({ target, bundles, product, policy, sigstoreRoot });
  const status = signatureStatus(role, productRole(copy.targets.metadata, product));
  return { target, verified, status, adopted };
}

/** The bundles, each of them the bytes that the role lists. */
export function bundlesOf(proposal: Proposal, target: ReleaseTarget): Buffer[] {
  const bundles = proposal.bundles.map((text) => Buffer.from(text, 'base64'));
  const listed = target.custom.bundles;
  const agree =
    bundles.length === listed.length &&
    bundles.every((bytes, i) => {
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return listed[i]?.sha256 === sha256 && listed[i].length === bytes.length;
    });
  if (!agree) throw new RepositoryError('PROPOSAL_TAMPERED', `${proposal.product} ${proposal.version}`);
  return bundles;
}

/** @throws RepositoryError `PROPOSAL_MALFORMED`. */
export function parseProposal(bytes: Uint8Array): Proposal {
  const malformed = (cause?: unknown) => new RepositoryError('PROPOSAL_MALFORMED', 'Proposal', { cause });
  let value: Partial<Proposal> | null;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<Proposal> | null;
  } catch (cause) {
    throw malformed(cause);
  }
  if (!isProposal(value)) throw malformed();
  return value;
}

function isProposal(value: Partial<Proposal> | null): value is Proposal {
  const text = (field: unknown) => typeof field === 'string';
  const { role } = value ?? {};
  return (
    value?._type === 'tidegate-proposal' &&
    [value.product, value.version, value.imageFile].every(text) &&
    Array.isArray(value.bundles) &&
    value.bundles.every(text) &&
    role?.signed?._type === 'targets' &&
    Number.isSafeInteger(role.signed.version) &&
    text(role.signed.expires) &&
    isTargets(role.signed.targets) &&
    Array.isArray(role.signatures) &&
    role.signatures.every((signature) => text(signature?.keyid) && text(signature.sig))
  );
}

function isTargets(targets: unknown): boolean {
  if (typeof targets !== 'object' || targets === null) return false;
  return Object.values(targets as Record<string, Partial<Targets['targets'][string]> | null>).every(
    (target) => SHA256.test(String(target?.hashes?.sha256)) && Number.isSafeInteger(target?.length),
  );
}

function currentRole(copy: WorkingCopy, product: string): Metadata<Targets> {
  const current = copy.products.get(product);
  if (current === undefined) throw new RepositoryError('PRODUCT_UNKNOWN', product);
  return current.metadata;
}
