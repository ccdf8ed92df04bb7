/** Verifies one Sigstore bundle against the policy of a product. Design §3 */
import { BUNDLE_V03_MEDIA_TYPE, isBundleWithDsseEnvelope } from '@sigstore/bundle';
import { toSignedEntity } from '@sigstore/verify';
import type { SignedEntity, TrustMaterial } from '@sigstore/verify';
import {
  IN_TOTO_PAYLOAD_TYPE,
  Refusal,
  refusing,
  type ProductPolicy,
  type ProvenanceStatement,
  type TrustPolicy,
} from '../protocol/index.ts';
import { builderKey, keyIdOfHint, countedParty, signerName, type Signer } from './builders.ts';
import { productPolicyOf } from './policy.ts';
import {
  readBundle,
  trustedTimes,
  trustMaterial,
  verifyEntity,
  type Evidence,
  type SigstoreSigner,
} from './sigstore.ts';
import { readStatement } from './statement.ts';

export interface BundleInput {
  bundle: Uint8Array;
  /** Digest of the image that the bundle must be about. */
  sha256: string;
  policy: TrustPolicy;
  product: string;
  /** `trust/sigstore_root.json`, verbatim. */
  sigstoreRoot: Uint8Array;
}

export interface VerifiedStatement {
  statement: ProvenanceStatement;
  /** Key id (hex) of a key builder, or the certificate's SAN URI. */
  signer: string;
  /** As whom the signer counts where the policy asks for several builders. */
  party: string;
}

/**
 * The build's provenance.
 * @throws Refusal DENIED, BUNDLE_INVALID, BUILDER_UNKNOWN, BUILDER_REVOKED, EVIDENCE_MISSING, POLICY_MALFORMED
 */
export function verifyBundle(input: BundleInput): VerifiedStatement {
  const { payload, ...who } = verifyAttestation(input);
  return { statement: readStatement(payload, input.sha256), ...who };
}

/**
 * A statement of any kind by one of the product's builders: what it says, and about which image, is for the caller to look at.
 * @param limit longest bundle that is read, in bytes.
 * @throws Refusal as `verifyBundle`
 */
export function verifyAttestation(
  input: Omit<BundleInput, 'sha256'>,
  limit?: number,
): { payload: Buffer; signer: string; party: string } {
  const policy = productPolicyOf(input.policy, input.product);
  const { entity, payload } = readAttestation(input.bundle, limit);
  const trust = trustMaterial(input.sigstoreRoot, (hint) => ({
    publicKey: builderKey(policy.builders, keyIdOfHint(hint)),
    // Retirement is judged by `countedParty`, which also sees that there are no timestamps at all.
    validFor: () => true,
  }));
  const signer = asBuilder(verifyEntity(entity, trust, neededEvidence(entity, policy, trust)));
  const party = countedParty(policy.builders, signer, trustedTimes(entity));
  refuseDenied(signerName(signer), input.policy);
  return { payload, signer: signerName(signer), party };
}

/** By its whole name, or by the workflow alone, whatever its ref. */
function refuseDenied(signer: string, { denied }: TrustPolicy): void {
  const [workflow] = signer.split('@');
  if (denied.signers.some((name) => name === signer || name === workflow)) {
    throw new Refusal('DENIED', `signer ${signer}`);
  }
}

function readAttestation(bytes: Uint8Array, limit?: number): { entity: SignedEntity; payload: Buffer } {
  // Earlier formats ask for less evidence.
  const bundle = readBundle(bytes, [BUNDLE_V03_MEDIA_TYPE], limit);
  return refusing('BUNDLE_INVALID', 'no attestation', () => {
    if (!isBundleWithDsseEnvelope(bundle)) throw new TypeError('a message signature');
    const { payloadType, payload } = bundle.content.dsseEnvelope;
    if (payloadType !== IN_TOTO_PAYLOAD_TYPE) throw new TypeError(`payload type ${payloadType}`);
    return { entity: toSignedEntity(bundle), payload };
  });
}

function neededEvidence(entity: SignedEntity, policy: ProductPolicy, trust: TrustMaterial): Evidence {
  const keyless = entity.key.$case === 'certificate';
  return {
    // A Fulcio certificate lives for minutes: without a log and a time it would say nothing today.
    logs: Math.max(policy.logs, keyless ? 1 : 0),
    timestamps: Math.max(policy.timestamps, keyless ? 1 : 0),
    // Certificate transparency: asked for where the targets' quorum lists such a log.
    ctlogs: trust.ctlogs.length > 0 ? 1 : 0,
  };
}

function asBuilder(signer: SigstoreSigner): Signer {
  return signer.kind === 'key' ? { kind: 'key', keyId: keyIdOfHint(signer.hint) } : signer;
}
