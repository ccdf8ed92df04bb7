/** Whether a release may be installed anywhere at all. Charger, signer and service ask the same function. Design §3. */
import { createHash } from 'node:crypto';
import {
  Refusal,
  refusing,
  type ExternalParameters,
  type ReleaseTarget,
  type TrustPolicy,
} from '../protocol/index.ts';
import { verifyBundle, type VerifiedStatement } from './bundle.ts';
import { productPolicyOf } from './policy.ts';

export interface ReleaseInput {
  target: ReleaseTarget;
  /** Bytes of the bundles that `target.custom.bundles` lists; any valid one suffices. */
  bundles: Uint8Array[];
  product: string;
  policy: TrustPolicy;
  /** `trust/sigstore_root.json`, verbatim. */
  sigstoreRoot: Uint8Array;
}

export interface VerifiedRelease extends VerifiedStatement {
  target: ReleaseTarget;
}

/**
 * @throws Refusal PRODUCT_MISMATCH, DENIED, ABOVE_CAP, BELOW_EMERGENCY_FLOOR, BUNDLE_MISSING, STATEMENT_MISMATCH, and those of
 * `verifyBundle`; where several bundles fail, the first one's.
 */
export function verifyRelease(input: ReleaseInput): VerifiedRelease {
  refuseByPolicy(input.target, input.product, input.policy);
  return { target: input.target, ...anyValidBundle(input) };
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

function anyValidBundle(input: ReleaseInput): VerifiedStatement {
  const refusals: Refusal[] = [];
  for (const bundle of input.bundles) {
    try {
      return refusing('BUNDLE_INVALID', 'the bundle', () => verifyOne(bundle, input));
    } catch (error) {
      refusals.push(error as Refusal);
    }
  }
  throw refusals[0] ?? new Refusal('BUNDLE_MISSING', input.target.path);
}

function verifyOne(bundle: Uint8Array, { target, product, policy, sigstoreRoot }: ReleaseInput) {
  const digest = createHash('sha256').update(bundle).digest('hex');
  if (!target.custom.bundles.some((listed) => listed.sha256 === digest && listed.length === bundle.length)) {
    throw new Refusal('BUNDLE_INVALID', 'the target does not list this bundle');
  }
  const verified = verifyBundle({ bundle, sha256: target.sha256, policy, product, sigstoreRoot });
  const [workflow] = verified.signer.split('@');
  if (policy.denied.signers.some((denied) => denied === verified.signer || denied === workflow)) {
    throw new Refusal('DENIED', `signer ${verified.signer}`);
  }
  refuseDisagreement(target, verified.statement.predicate.buildDefinition.externalParameters);
  return verified;
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
