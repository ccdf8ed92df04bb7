/** A certificate for minutes, for a key that lives as long as this process. https://github.com/sigstore/fulcio/blob/main/fulcio.proto */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { generateKey, type PrivateKey } from '../keys/index.ts';
import { jsonOf, list, member, optionalMember, text } from './answers.ts';
import { AttestError } from './errors.ts';
import { ask } from './http.ts';
import type { IdentityToken } from './identity-token.ts';

export interface CertifiedKey {
  key: PrivateKey;
  /** The leaf alone, PEM: bundles of version 0.3 take the rest from the trusted root. */
  certificate: string;
  /** What its subject alternative name says: the URI of a workflow, or the e-mail address of a person. */
  identity: { kind: 'workflow' | 'person'; name: string };
}

/**
 * @param url Fulcio's base URL.
 * @throws AttestError `CERTIFICATE_WRONG`, `IDENTITY_UNUSABLE` for any other name, `SERVICE_*`.
 */
export async function certify(url: string, identity: IdentityToken): Promise<CertifiedKey> {
  const key = generateKey('ecdsa-sha2-nistp256');
  const proof = await key.sign(Buffer.from(identity.subject));
  const { body } = await ask({
    service: 'Fulcio',
    url: `${url}/api/v2/signingCert`,
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    secret: identity.token,
    body: JSON.stringify({
      credentials: { oidcIdentityToken: identity.token },
      publicKeyRequest: {
        publicKey: { algorithm: 'ECDSA', content: key.publicKey },
        proofOfPossession: Buffer.from(proof).toString('base64'),
      },
    }),
  });
  const certificate = leafOf(body);
  if (!certificate.publicKey.equals(createPublicKey(key.publicKey))) {
    throw new AttestError('CERTIFICATE_WRONG', 'Another public key');
  }
  return { key, certificate: certificate.toString(), identity: identityOf(certificate) };
}

function leafOf(body: Buffer): X509Certificate {
  try {
    const answer = jsonOf(body);
    const signed =
      optionalMember(answer, 'signedCertificateEmbeddedSct') ??
      member(answer, 'signedCertificateDetachedSct');
    const [leaf] = list(member(member(signed, 'chain'), 'certificates'), 16);
    return new X509Certificate(text(leaf));
  } catch (cause) {
    throw new AttestError('SERVICE_ANSWER', 'Fulcio', { cause });
  }
}

function identityOf(certificate: X509Certificate): CertifiedKey['identity'] {
  // Node writes a name that could be mistaken for two in quotes, as JSON.
  const names = /^(URI|email):(?:([^",]+)|(".*"))$/.exec(certificate.subjectAltName ?? '');
  if (names === null) {
    throw new AttestError('IDENTITY_UNUSABLE', certificate.subjectAltName?.slice(0, 200) ?? 'Nobody');
  }
  const [, kind, plain, quoted] = names;
  return {
    kind: kind === 'URI' ? 'workflow' : 'person',
    name: quoted === undefined ? text(plain) : text(JSON.parse(quoted)),
  };
}
