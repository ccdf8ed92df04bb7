import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { keyIdOf, tufKeyOf } from '@tidegate/client-sdk/trust';
import { KeyError } from './errors.ts';

/**
 * How a key signs, in TUF's words.
 * - `ed25519`: TUF roles, directives, DSSE. A signature is 64 bytes.
 * - `ecdsa-sha2-nistp256`: build keys, HSMs. P-256 over SHA-256; a signature is DER.
 */
export type Scheme = 'ed25519' | 'ecdsa-sha2-nistp256';

/** The public half of a key. */
export interface PublicKey {
  /** TUF key id: SHA-256 (hex) over the canonical JSON of the TUF key. */
  keyId: string;
  scheme: Scheme;
  /** SPKI, PEM. */
  publicKey: string;
}

/** Signs. The private key may sit in a file, in a token or behind a service, so signing is asynchronous and may fail. */
export interface Signer extends PublicKey {
  /** The signature over exactly these bytes, in the encoding that the scheme says. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/**
 * Reads a public key.
 * @param pem SPKI, PEM.
 * @throws KeyError `KEY_MALFORMED`, `KEY_SCHEME`.
 */
export function publicKeyOf(pem: string): PublicKey {
  const key = parse(pem);
  const publicKey = key.export({ type: 'spki', format: 'pem' }).toString();
  const scheme = schemeOf(key);
  return { keyId: keyIdOf(tufKeyOf(publicKey)), scheme, publicKey };
}

/** SHA-256 (hex) of the SPKI DER: the `hint` in a Sigstore bundle and the `keyId` of a `KeyBuilder` in the policy. */
export function hintOf(publicKey: string): string {
  return createHash('sha256')
    .update(parse(publicKey).export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

/** @throws KeyError `KEY_SCHEME` for whatever is neither Ed25519 nor P-256. */
export function schemeOf(key: KeyObject): Scheme {
  if (key.asymmetricKeyType === 'ed25519') return 'ed25519';
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') {
    return 'ecdsa-sha2-nistp256';
  }
  throw new KeyError('KEY_SCHEME', `Key of type ${key.asymmetricKeyType ?? 'unknown'}`);
}

function parse(pem: string): KeyObject {
  // createPublicKey would quietly derive the public half of a private key.
  if (!pem.trimStart().startsWith('-----BEGIN PUBLIC KEY-----')) {
    throw new KeyError('KEY_MALFORMED', 'Not a public key in PEM');
  }
  try {
    return createPublicKey(pem);
  } catch (cause) {
    throw new KeyError('KEY_MALFORMED', 'Not a public key in PEM', { cause });
  }
}
