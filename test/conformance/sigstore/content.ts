/** What was signed, in the form in which @sigstore/verify asks for it, and bound to the artifact. */
import { createHash, verify, type KeyObject } from 'node:crypto';
import type { Bundle } from '@sigstore/bundle';
import { HashAlgorithm } from '@sigstore/protobuf-specs';
import type { SignedEntity } from '@sigstore/verify';
import { IN_TOTO_PAYLOAD_TYPE, preAuthEncoding } from '@tidegate/client-sdk/protocol';
import type { Artifact } from './artifact.ts';
import { verifyPrehashed } from './prehashed.ts';

type SignatureContent = SignedEntity['signature'];
type MessageSignature = Extract<Bundle['content'], { $case: 'messageSignature' }>['messageSignature'];

const HASHES = new Map([
  [HashAlgorithm.SHA2_256, 'sha256'],
  [HashAlgorithm.SHA2_384, 'sha384'],
  [HashAlgorithm.SHA2_512, 'sha512'],
]);

const STATEMENTS = ['https://in-toto.io/Statement/v1', 'https://in-toto.io/Statement/v0.1'];

/** The signature of the artifact itself. @throws when the bundle names another digest. */
export function messageContent(message: MessageSignature, artifact: Artifact): SignatureContent {
  const hash = HASHES.get(message.messageDigest.algorithm);
  if (hash === undefined) throw new TypeError(`hash ${message.messageDigest.algorithm} is not known here`);
  const digest = digestOf(artifact, hash);
  if (!digest.equals(message.messageDigest.digest))
    throw new TypeError('the message digest is of other bytes');
  const { signature } = message;
  return {
    signature,
    compareSignature: (other) => other.equals(signature),
    compareDigest: (other) => other.equals(digest),
    compareSignedDigest: (other) => other.equals(digest),
    verifySignature: (key) =>
      artifact.bytes === undefined
        ? verifyPrehashed(digest, key, signature)
        : verifyBytes(artifact.bytes, key, signature, hash),
  };
}

function digestOf({ bytes, sha256 }: Artifact, hash: string): Buffer {
  if (hash === 'sha256') return sha256;
  if (bytes === undefined) throw new TypeError(`a SHA-256 digest is not enough where ${hash} was signed`);
  return createHash(hash).update(bytes).digest();
}

function verifyBytes(bytes: Buffer, key: KeyObject, signature: Buffer, hash: string): boolean {
  const ed25519 = key.asymmetricKeyType === 'ed25519';
  return verify(ed25519 ? null : hash, bytes, key, signature);
}

/** @sigstore/verify verifies DSSE whatever it is about. @throws unless it is an in-toto statement about the artifact. */
export function refuseOtherStatement(payloadType: string, payload: Buffer, { sha256 }: Artifact): void {
  if (payloadType !== IN_TOTO_PAYLOAD_TYPE) throw new TypeError(`payload type ${payloadType}`);
  const statement = JSON.parse(payload.toString()) as Record<string, unknown> | null;
  const { _type: type, predicateType, subject } = statement ?? {};
  // Whatever a later version means by its subjects is not known here.
  if (typeof type !== 'string' || !STATEMENTS.includes(type))
    throw new TypeError('the statement has no known _type');
  if (typeof predicateType !== 'string') throw new TypeError('the statement has no predicateType');
  const subjects: unknown[] = Array.isArray(subject) ? subject : [];
  const digests = subjects.map((one) => (one as { digest?: { sha256?: unknown } } | null)?.digest?.sha256);
  if (!digests.includes(sha256.toString('hex'))) throw new TypeError('the statement is about something else');
}

/** As @sigstore/verify does it, but with the hash that belongs to the key's curve. */
export function dsseContent(
  content: SignatureContent,
  payloadType: string,
  payload: Buffer,
): SignatureContent {
  const message = preAuthEncoding(payloadType, payload);
  return {
    signature: content.signature,
    compareSignature: (other) => content.compareSignature(other),
    compareDigest: (other) => content.compareDigest(other),
    compareSignedDigest: (other) => content.compareSignedDigest(other),
    verifySignature: (key) =>
      content.verifySignature(key) ||
      (key.asymmetricKeyDetails?.namedCurve === 'secp384r1' &&
        verify('sha384', message, key, content.signature)),
  };
}
