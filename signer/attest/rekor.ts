/**
 * Entries in a transparency log. The library's own witness takes every key for a certificate and sends Rekor v2 envelopes, which it takes no
 * longer (rekor-tiles 2.3: a digest of the pre-authentication encoding instead).
 */
import { createHash, createPublicKey, X509Certificate } from 'node:crypto';
import { envelopeToJSON, type TransparencyLogEntry } from '@sigstore/bundle';
import type { SignatureBundle, Witness } from '@sigstore/sign';
import { preAuthEncoding } from '@tidegate/client-sdk/protocol';
import { base64, count, hex, jsonOf, list, member, optionalMember, text } from './answers.ts';
import { AttestError } from './errors.ts';
import { ask } from './http.ts';

const MAX_HASHES = 64;
const JSON_HEADERS = { 'content-type': 'application/json', accept: 'application/json' };

/** @param url base URL. @param version major version of its API, 1 or 2. */
export function rekor(url: string, version: number): Witness {
  const enter = version === 1 ? enterV1 : enterV2;
  return {
    testify: async (content, publicKey) => ({ tlogEntries: [await enter(url, content, publicKey)] }),
  };
}

/** @param pem public key or certificate. */
async function enterV1(url: string, content: SignatureBundle, pem: string): Promise<TransparencyLogEntry> {
  const entries = `${url}/api/v1/log/entries`;
  const proposed = JSON.stringify(proposedV1(content, Buffer.from(pem).toString('base64')));
  const first = await ask({
    service: 'Rekor',
    url: entries,
    headers: JSON_HEADERS,
    body: proposed,
    expected: [409],
  });
  if (first.status !== 409) return readV1(first.body);
  // Somebody entered the very same signature before: Ed25519 signs alike each time.
  const uuid = first.location?.split('/').pop() ?? '';
  if (!/^[0-9a-f]{64,80}$/.test(uuid)) throw new AttestError('SERVICE_ANSWER', 'Rekor names no entry');
  const { body } = await ask({
    service: 'Rekor',
    url: `${entries}/${uuid}`,
    method: 'GET',
    headers: JSON_HEADERS,
  });
  return readV1(body);
}

/** https://github.com/sigstore/rekor/tree/main/pkg/types */
function proposedV1(content: SignatureBundle, verifier: string): unknown {
  if (content.$case === 'dsseEnvelope') {
    const envelope = JSON.stringify(envelopeToJSON(content.dsseEnvelope));
    return {
      apiVersion: '0.0.1',
      kind: 'dsse',
      spec: { proposedContent: { envelope, verifiers: [verifier] } },
    };
  }
  const { messageDigest, signature } = content.messageSignature;
  return {
    apiVersion: '0.0.1',
    kind: 'hashedrekord',
    spec: {
      data: { hash: { algorithm: 'sha256', value: messageDigest.digest.toString('hex') } },
      signature: { content: signature.toString('base64'), publicKey: { content: verifier } },
    },
  };
}

function readV1(body: Buffer): TransparencyLogEntry {
  return answered(() => {
    const [entry, ...others] = Object.values(jsonOf(body) as Record<string, unknown>);
    if (others.length > 0) throw new TypeError('several entries');
    const canonicalizedBody = base64(member(entry, 'body'));
    const logged = jsonOf(canonicalizedBody);
    const verification = member(entry, 'verification');
    const promise = optionalMember(verification, 'signedEntryTimestamp');
    const proof = optionalMember(verification, 'inclusionProof');
    return {
      logIndex: count(member(entry, 'logIndex')),
      logId: { keyId: hex(member(entry, 'logID')) },
      integratedTime: count(member(entry, 'integratedTime')),
      kindVersion: { kind: text(member(logged, 'kind')), version: text(member(logged, 'apiVersion')) },
      inclusionPromise: promise === undefined ? undefined : { signedEntryTimestamp: base64(promise) },
      inclusionProof:
        proof === undefined
          ? undefined
          : {
              logIndex: count(member(proof, 'logIndex')),
              treeSize: count(member(proof, 'treeSize')),
              rootHash: hex(member(proof, 'rootHash')),
              hashes: list(member(proof, 'hashes'), MAX_HASHES).map(hex),
              checkpoint: { envelope: text(member(proof, 'checkpoint')) },
            },
      canonicalizedBody,
    };
  });
}

/** https://github.com/sigstore/rekor-tiles/blob/main/CLIENTS.md */
async function enterV2(url: string, content: SignatureBundle, pem: string): Promise<TransparencyLogEntry> {
  const { digest, signature } = signedDigest(content);
  const request = {
    hashedRekordRequestV002: {
      digest: digest.toString('base64'),
      signature: { content: signature.toString('base64'), verifier: verifierV2(pem) },
    },
  };
  const { body } = await ask({
    service: 'Rekor',
    url: `${url}/api/v2/log/entries`,
    headers: JSON_HEADERS,
    body: JSON.stringify(request),
  });
  return readV2(body);
}

function signedDigest(content: SignatureBundle): { digest: Buffer; signature: Buffer } {
  if (content.$case === 'messageSignature') {
    const { messageDigest, signature } = content.messageSignature;
    return { digest: messageDigest.digest, signature };
  }
  const { payloadType, payload, signatures } = content.dsseEnvelope;
  const digest = createHash('sha256').update(preAuthEncoding(payloadType, payload)).digest();
  return { digest, signature: signatures[0]?.sig ?? Buffer.alloc(0) };
}

function verifierV2(pem: string): unknown {
  const certificate = pem.startsWith('-----BEGIN CERTIFICATE') ? new X509Certificate(pem) : undefined;
  const key = certificate?.publicKey ?? createPublicKey(pem);
  // Of Ed25519 it knows the pre-hashed variant only, which no verifier of attestations accepts.
  if (key.asymmetricKeyType !== 'ec') throw new AttestError('SCHEME_UNFIT', 'Rekor v2 and an Ed25519 key');
  const rawBytes = certificate?.raw ?? key.export({ type: 'spki', format: 'der' });
  const named = certificate === undefined ? 'publicKey' : 'x509Certificate';
  return { [named]: { rawBytes: rawBytes.toString('base64') }, keyDetails: 'PKIX_ECDSA_P256_SHA_256' };
}

function readV2(body: Buffer): TransparencyLogEntry {
  return answered(() => {
    const entry = jsonOf(body);
    const kindVersion = member(entry, 'kindVersion');
    const proof = member(entry, 'inclusionProof');
    return {
      logIndex: count(optionalMember(entry, 'logIndex')),
      logId: { keyId: base64(member(member(entry, 'logId'), 'keyId')) },
      integratedTime: count(optionalMember(entry, 'integratedTime')),
      kindVersion: { kind: text(member(kindVersion, 'kind')), version: text(member(kindVersion, 'version')) },
      inclusionPromise: undefined,
      inclusionProof: {
        logIndex: count(optionalMember(proof, 'logIndex')),
        treeSize: count(optionalMember(proof, 'treeSize')),
        rootHash: base64(member(proof, 'rootHash')),
        hashes: list(optionalMember(proof, 'hashes') ?? [], MAX_HASHES).map(base64),
        checkpoint: { envelope: text(member(member(proof, 'checkpoint'), 'envelope')) },
      },
      canonicalizedBody: base64(member(entry, 'canonicalizedBody')),
    };
  });
}

function answered<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new AttestError('SERVICE_ANSWER', 'Rekor', { cause });
  }
}
