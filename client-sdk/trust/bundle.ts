/** Verifies one Sigstore bundle against the policy, offline. https://docs.sigstore.dev/about/bundle/ */
import { createHash } from 'node:crypto';
import { BUNDLE_V03_MEDIA_TYPE, bundleFromJSON, isBundleWithDsseEnvelope } from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import type { SignedEntity, TrustMaterial } from '@sigstore/verify';
import {
  IN_TOTO_PAYLOAD_TYPE,
  refusing,
  Refusal,
  type ProductPolicy,
  type ProvenanceStatement,
  type TrustPolicy,
} from '../protocol/index.ts';
import { builderKey, refuseUnlessCounts, signerName, type Signer } from './builders.ts';
import { productPolicyOf } from './policy.ts';
import { parseJson } from './shape.ts';
import { readStatement } from './statement.ts';

/** Longest files that are read, in bytes. */
export const MAX_BUNDLE_BYTES = 256 * 1024;
export const MAX_SIGSTORE_ROOT_BYTES = 512 * 1024;
const MAX_EVIDENCE = 16;

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
}

/** @throws Refusal BUNDLE_INVALID, BUILDER_UNKNOWN, BUILDER_REVOKED, EVIDENCE_MISSING, POLICY_MALFORMED */
export function verifyBundle(input: BundleInput): VerifiedStatement {
  const policy = productPolicyOf(input.policy, input.product);
  const { entity, payload } = readBundle(input.bundle);
  const trust = trustMaterial(input.sigstoreRoot, policy);
  const needed = neededEvidence(entity, policy, trust);
  const signer = verifySignature(entity, trust, needed);
  refuseTooLittleEvidence(entity, trust, needed);
  refuseUnlessCounts(policy.builders, signer, trustedTimes(entity));
  return { statement: readStatement(payload, input.sha256), signer: signerName(signer) };
}

function readBundle(bytes: Uint8Array): { entity: SignedEntity; payload: Buffer } {
  return refusing('BUNDLE_INVALID', 'not a Sigstore bundle', () => {
    const bundle = bundleFromJSON(parseJson(bytes, MAX_BUNDLE_BYTES));
    // Earlier formats ask for less evidence.
    if (bundle.mediaType !== BUNDLE_V03_MEDIA_TYPE) throw new TypeError(`media type ${bundle.mediaType}`);
    if (!isBundleWithDsseEnvelope(bundle)) throw new TypeError('a message signature, not an attestation');
    const { payloadType, payload } = bundle.content.dsseEnvelope;
    if (payloadType !== IN_TOTO_PAYLOAD_TYPE) throw new TypeError(`payload type ${payloadType}`);
    const entity = toSignedEntity(bundle);
    if (entity.tlogEntries.length > MAX_EVIDENCE || entity.timestamps.length > 2 * MAX_EVIDENCE) {
      throw new TypeError('more evidence than is read');
    }
    return { entity, payload };
  });
}

function trustMaterial(sigstoreRoot: Uint8Array, policy: ProductPolicy): TrustMaterial {
  return refusing('POLICY_MALFORMED', 'trust/sigstore_root.json', () => {
    const root = parseJson(sigstoreRoot, MAX_SIGSTORE_ROOT_BYTES);
    if (typeof root !== 'object' || root === null || Array.isArray(root)) throw new TypeError('no object');
    return toTrustMaterial(TrustedRoot.fromJSON(root), (hint) => ({
      publicKey: builderKey(policy.builders, hint),
      // Retirement is judged by `refuseUnlessCounts`, which also sees that there are no timestamps at all.
      validFor: () => true,
    }));
  });
}

interface Evidence {
  logs: number;
  timestamps: number;
  /** Certificate transparency: asked for where the targets' quorum lists such a log. */
  ctlogs: number;
}

function neededEvidence(entity: SignedEntity, policy: ProductPolicy, trust: TrustMaterial): Evidence {
  const keyless = entity.key.$case === 'certificate';
  return {
    // A Fulcio certificate lives for minutes: without a log and a time it would say nothing today.
    logs: Math.max(policy.logs, keyless ? 1 : 0),
    timestamps: Math.max(policy.timestamps, keyless ? 1 : 0),
    ctlogs: trust.ctlogs.length > 0 ? 1 : 0,
  };
}

function verifySignature(entity: SignedEntity, trust: TrustMaterial, needed: Evidence): Signer {
  if (entity.tlogEntries.length < needed.logs || trustedTimes(entity).length < needed.timestamps) {
    throw new Refusal('EVIDENCE_MISSING', `${entity.tlogEntries.length} log entries`);
  }
  return refusing('BUNDLE_INVALID', 'the signature or its evidence does not verify', () => {
    const verifier = new Verifier(trust, {
      tlogThreshold: needed.logs,
      timestampThreshold: needed.timestamps,
      ctlogThreshold: needed.ctlogs,
    });
    const { identity } = verifier.verify(entity);
    if (entity.key.$case === 'public-key') return { kind: 'key', keyId: entity.key.hint };
    const issuer = identity?.extensions?.issuer;
    const san = identity?.subjectAlternativeName;
    if (issuer === undefined || san === undefined) throw new TypeError('the certificate names nobody');
    return { kind: 'identity', issuer, san };
  });
}

/** @sigstore/verify counts two entries of one log as two. */
function refuseTooLittleEvidence(entity: SignedEntity, trust: TrustMaterial, needed: Evidence): void {
  const logs = new Set(entity.tlogEntries.map(({ logId }) => logName(trust, logId.keyId)));
  const clocks = new Set(countedTimestamps(entity).map(({ clock }) => clock));
  if (logs.size < needed.logs) throw new Refusal('EVIDENCE_MISSING', `${logs.size} distinct logs`);
  if (clocks.size < needed.timestamps)
    throw new Refusal('EVIDENCE_MISSING', `${clocks.size} distinct clocks`);
}

function logName(trust: TrustMaterial, keyId: Buffer): string {
  return trust.tlogs.find((log) => log.logID.equals(keyId))?.baseURL ?? keyId.toString('hex');
}

function trustedTimes(entity: SignedEntity): number[] {
  return countedTimestamps(entity).map(({ time }) => time);
}

/** Timestamps that @sigstore/verify verifies: of an authority, or of a log that promised inclusion. */
function countedTimestamps(entity: SignedEntity): { time: number; clock: string }[] {
  return entity.timestamps.flatMap((stamp) => {
    if (stamp.$case === 'transparency-log') {
      const { inclusionPromise, integratedTime, logId } = stamp.tlogEntry;
      if (inclusionPromise === undefined) return [];
      return [{ time: Number(integratedTime) * 1000, clock: `log ${logId.keyId.toString('hex')}` }];
    }
    return refusing('BUNDLE_INVALID', 'timestamp', () => {
      const { signingTime, signerIssuer, signerSerialNumber } = stamp.timestamp;
      const signer = createHash('sha256').update(signerIssuer).update(signerSerialNumber).digest('hex');
      return [{ time: signingTime.getTime(), clock: `authority ${signer}` }];
    });
  });
}
