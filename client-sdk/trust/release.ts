/** Whether a release may be installed anywhere at all. Charger, signer and service ask the same function. Design §3. */
import { createHash } from 'node:crypto';
import {
  Refusal,
  refusing,
  type ExternalParameters,
  type ReleaseTarget,
  type SideFile,
  type TrustPolicy,
} from '../protocol/index.ts';
import { verifyBundle, type VerifiedStatement } from './bundle.ts';
import { attestationsAsked, productPolicyOf } from './policy.ts';
import { verifySbom } from './sbom.ts';

export interface ReleaseQuestion {
  target: ReleaseTarget;
  product: string;
  policy: TrustPolicy;
  /** `trust/sigstore_root.json`, verbatim. */
  sigstoreRoot: Uint8Array;
}

export interface ReleaseInput extends ReleaseQuestion {
  /** Bytes of the bundles that `target.custom.bundles` lists. */
  bundles: Uint8Array[];
  /** Bytes of what `target.custom.sbom` lists. Verified whenever they are given; needed where the policy asks for an SBOM. */
  sbom?: Uint8Array | undefined;
}

export interface VerifiedRelease extends VerifiedStatement {
  target: ReleaseTarget;
  /** Everybody who attested the image and counts, each once. */
  signers: string[];
}

/**
 * @throws Refusal PRODUCT_MISMATCH, DENIED, ABOVE_CAP, BELOW_EMERGENCY_FLOOR, BUNDLE_MISSING, STATEMENT_MISMATCH, BUILDERS_TOO_FEW,
 * SBOM_MISSING, SBOM_INVALID, and those of `verifyBundle`; where no bundle verifies, the first one's.
 */
export function verifyRelease(input: ReleaseInput): VerifiedRelease {
  const review = new ReleaseReview(input);
  for (const bundle of input.bundles) review.takeBundle(bundle);
  if (input.sbom !== undefined) review.takeSbom(input.sbom);
  return review.verdict();
}

/**
 * `verifyRelease`, told one file after the other: a charger need not hold two of them in memory, nor fetch more than it needs.
 */
export class ReleaseReview {
  readonly #question: ReleaseQuestion;
  readonly #asked: { builders: number; sbom: boolean };
  /** The first of each party. */
  readonly #verified = new Map<string, VerifiedStatement>();
  readonly #refusals: Refusal[] = [];
  #sbom = false;

  /** @throws Refusal as `refuseByPolicy` */
  constructor(question: ReleaseQuestion) {
    refuseByPolicy(question.target, question.product, question.policy);
    this.#question = question;
    this.#asked = attestationsAsked(productPolicyOf(question.policy, question.product));
  }

  /** Whether as many builders have attested the image as the policy asks for. */
  get enough(): boolean {
    return this.#verified.size >= this.#asked.builders;
  }

  /** Whether the policy asks for an SBOM that has not been seen yet. */
  get wantsSbom(): boolean {
    return this.#asked.sbom && !this.#sbom;
  }

  /** One that does not verify counts for nothing; it stops nothing either. */
  takeBundle(bundle: Uint8Array): void {
    try {
      const verified = refusing('BUNDLE_INVALID', 'the bundle', () => verifyOne(bundle, this.#question));
      if (!this.#verified.has(verified.party)) this.#verified.set(verified.party, verified);
    } catch (error) {
      this.#refusals.push(error as Refusal);
    }
  }

  /** @throws Refusal SBOM_INVALID */
  takeSbom(bundle: Uint8Array): void {
    const { target, ...trust } = this.#question;
    try {
      if (!isListed(bundle, target.custom.sbom === null ? [] : [target.custom.sbom])) {
        throw new Refusal('BUNDLE_INVALID', 'the target does not list this SBOM');
      }
      verifySbom({ ...trust, bundle, sha256: target.sha256 });
    } catch (error) {
      const why = error instanceof Refusal ? `${error.code}: ${error.detail}` : 'not an SBOM';
      throw new Refusal('SBOM_INVALID', why, { cause: error });
    }
    this.#sbom = true;
  }

  /** What the first bundle that verifies says, whether or not it is enough. @throws Refusal BUNDLE_MISSING, and those of `verifyBundle` */
  first(): VerifiedStatement {
    const [first] = this.#verified.values();
    if (first === undefined) {
      throw this.#refusals[0] ?? new Refusal('BUNDLE_MISSING', this.#question.target.path);
    }
    return first;
  }

  /** @throws Refusal BUNDLE_MISSING, BUILDERS_TOO_FEW, SBOM_MISSING, and those of `verifyBundle` */
  verdict(): VerifiedRelease {
    const { target } = this.#question;
    const first = this.first();
    const signers = [...this.#verified.values()].map(({ signer }) => signer);
    if (!this.enough) {
      const others = this.#refusals.map(({ code }) => code).join(', ');
      throw new Refusal(
        'BUILDERS_TOO_FEW',
        `${signers.length} of ${this.#asked.builders} builders${others === '' ? '' : `; other bundles: ${others}`}`,
      );
    }
    if (this.wantsSbom) throw new Refusal('SBOM_MISSING', target.path);
    return { target, ...first, signers };
  }
}

/**
 * What the policy says of a target, whoever attested it.
 * @throws Refusal PRODUCT_MISMATCH, DENIED, ABOVE_CAP, BELOW_EMERGENCY_FLOOR, BUILDER_UNKNOWN
 */
export function refuseByPolicy(target: ReleaseTarget, product: string, policy: TrustPolicy): void {
  const { custom, path, sha256 } = target;
  if (custom.product !== product || !path.startsWith(`${product}/`)) {
    throw new Refusal('PRODUCT_MISMATCH', `${path} is for ${custom.product}`);
  }
  const { securityVersionCap, emergencyFloor } = productPolicyOf(policy, product);
  if (policy.denied.digests.includes(sha256)) throw new Refusal('DENIED', `image ${sha256}`);
  if (custom.securityVersion > securityVersionCap) {
    throw new Refusal('ABOVE_CAP', `${custom.securityVersion} is above ${securityVersionCap}`);
  }
  if (custom.securityVersion < emergencyFloor) {
    throw new Refusal('BELOW_EMERGENCY_FLOOR', `${custom.securityVersion} is below ${emergencyFloor}`);
  }
}

function verifyOne(
  bundle: Uint8Array,
  { target, product, policy, sigstoreRoot }: ReleaseQuestion,
): VerifiedStatement {
  if (!isListed(bundle, target.custom.bundles)) {
    throw new Refusal('BUNDLE_INVALID', 'the target does not list this bundle');
  }
  const verified = verifyBundle({ bundle, sha256: target.sha256, policy, product, sigstoreRoot });
  refuseDisagreement(target, verified.statement.predicate.buildDefinition.externalParameters);
  return verified;
}

function isListed(bytes: Uint8Array, files: readonly SideFile[]): boolean {
  const digest = createHash('sha256').update(bytes).digest('hex');
  return files.some((listed) => listed.sha256 === digest && listed.length === bytes.length);
}

/** What k release engineers signed and what the build signed must be the same. */
function refuseDisagreement({ custom }: ReleaseTarget, attested: ExternalParameters): void {
  const disagree = (field: string) => {
    throw new Refusal('STATEMENT_MISMATCH', `${field} differs between target and statement`);
  };
  if (custom.product !== attested.product) disagree('product');
  if (custom.version !== attested.version) disagree('version');
  if (custom.securityVersion !== attested.securityVersion) disagree('securityVersion');
  const wanted = [...new Set(custom.hardware)].sort();
  const built = [...new Set(attested.hardware)].sort();
  if (wanted.join('\n') !== built.join('\n')) disagree('hardware');
}
