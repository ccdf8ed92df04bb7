/** Verifies any bundle there is, of an artifact, by an identity or a key: the SDK's rules, and those that a charger needs no code for. */
import { X509Certificate, type KeyObject } from 'node:crypto';
import { BUNDLE_V01_MEDIA_TYPE, type Bundle } from '@sigstore/bundle';
import { toSignedEntity, type SignedEntity } from '@sigstore/verify';
import { readBundle, trustMaterial, verifyEntity, type Evidence } from '@tidegate/client-sdk/trust/sigstore';
import type { Artifact } from './artifact.ts';
import { dsseContent, messageContent, refuseOtherStatement } from './content.ts';
import { merkleRoot } from './merkle.ts';

export type Expected =
  | { kind: 'key'; publicKey: KeyObject }
  /** Compared as texts, whole. */
  | { kind: 'identity'; san: string; issuer: string };

export interface Question {
  bundle: Uint8Array;
  trustedRoot: Uint8Array;
  artifact: Artifact;
  expected: Expected;
}

/** A key that somebody names here has no lifetime that a time could fall out of; a Fulcio certificate lives for minutes. */
const NEEDED: Record<Expected['kind'], Evidence> = {
  key: { logs: 1, timestamps: 0, ctlogs: 0 },
  identity: { logs: 1, timestamps: 1, ctlogs: 1 },
};
/** RFC 5280 4.2.1.12 */
const CODE_SIGNING = '1.3.6.1.5.5.7.3.3';

/** @throws for whatever is not exactly right. */
export function verify({ bundle: bytes, trustedRoot, artifact, expected }: Question): void {
  const bundle = readBundle(bytes);
  refuseRootInChain(bundle);
  settleUnsignedProofs(bundle);
  const trust = trustMaterial(trustedRoot, () => {
    if (expected.kind !== 'key') throw new TypeError('the bundle is signed by a key, not by an identity');
    return { publicKey: expected.publicKey, validFor: () => true };
  });
  const entity = boundEntity(bundle, artifact);
  // A certificate proves an identity that nobody asked for.
  if (expected.kind === 'key' && entity.key.$case !== 'public-key')
    throw new TypeError('not signed by a key');
  const signer = verifyEntity(entity, trust, NEEDED[expected.kind]);
  if (expected.kind === 'key') return;
  if (signer.kind !== 'identity' || signer.san !== expected.san || signer.issuer !== expected.issuer) {
    throw new TypeError(`signed by ${JSON.stringify(signer)}`);
  }
  refuseOtherUsage(bundle);
}

/** The signed content, about this artifact and no other. */
function boundEntity(bundle: Bundle, artifact: Artifact): SignedEntity {
  const { content } = bundle;
  const entity = toSignedEntity(bundle, artifact.bytes);
  if (content.$case === 'messageSignature') {
    return { ...entity, signature: messageContent(content.messageSignature, artifact) };
  }
  const { payloadType, payload } = content.dsseEnvelope;
  refuseOtherStatement(payloadType, payload, artifact);
  return { ...entity, signature: dsseContent(entity.signature, payloadType, payload) };
}

/** Bundle specification: "the root certificate MUST NOT be in the chain". */
function refuseRootInChain(bundle: Bundle): void {
  const roots = certificates(bundle).filter((certificate) => certificate.checkIssued(certificate));
  if (roots.length > 0) throw new TypeError('a root certificate in the chain');
}

function refuseOtherUsage(bundle: Bundle): void {
  // Node calls the extended usages `keyUsage`.
  const [leaf] = certificates(bundle);
  const usages: readonly string[] = leaf?.keyUsage ?? [];
  if (!usages.includes(CODE_SIGNING)) throw new TypeError('the certificate is not for code signing');
}

function certificates({ verificationMaterial: { content } }: Bundle): X509Certificate[] {
  if (content.$case === 'publicKey') return [];
  const list =
    content.$case === 'certificate' ? [content.certificate] : content.x509CertificateChain.certificates;
  return list.map(({ rawBytes }) => new X509Certificate(rawBytes));
}

/**
 * The first format rests on the log's promise, and may carry a proof to a root that nobody signed. Such a proof proves nothing, but a wrong
 * one is a lie: it is checked, and then put away, because the library takes every proof for a signed one.
 */
function settleUnsignedProofs(bundle: Bundle): void {
  if (bundle.mediaType !== BUNDLE_V01_MEDIA_TYPE) return;
  for (const entry of bundle.verificationMaterial.tlogEntries) {
    const { inclusionProof: proof, inclusionPromise } = entry;
    if (proof === undefined || inclusionPromise === undefined || proof.checkpoint?.envelope) continue;
    const { rootHash, hashes } = proof;
    const place = { logIndex: BigInt(proof.logIndex), treeSize: BigInt(proof.treeSize), hashes };
    const root = merkleRoot(entry.canonicalizedBody, place);
    if (root?.equals(rootHash) !== true) throw new TypeError('the inclusion proof does not lead to its root');
    Object.assign(entry, { inclusionProof: undefined });
  }
}
