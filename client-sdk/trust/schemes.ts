/** Kinds of keys: how a public key is read, and how it verifies. TUF 4.2 */
import { constants, createPublicKey, verify, type KeyObject } from 'node:crypto';

export interface OpenKey {
  /** The same for two encodings of one public key. */
  identity: string;
  verify(message: Uint8Array, signature: string): boolean;
}

/** By `keytype/scheme`. A kind that is not listed cannot be verified, so it never counts. */
export type Schemes = ReadonlyMap<string, (publicKey: string) => OpenKey | undefined>;

/** What our own repositories sign with, and all that a charger knows. */
export const OWN_SCHEMES: Schemes = new Map([
  ['ed25519/ed25519', openEd25519],
  ['ecdsa/ecdsa-sha2-nistp256', openEcdsa('prime256v1', 'sha256')],
]);

/** What the specification lists, and what its repositories have in use besides. */
export const TUF_SCHEMES: Schemes = new Map([
  ...OWN_SCHEMES,
  // The name of the key type before TUF 1.0.20, still in old roots.
  ['ecdsa-sha2-nistp256/ecdsa-sha2-nistp256', openEcdsa('prime256v1', 'sha256')],
  ['ecdsa/ecdsa-sha2-nistp384', openEcdsa('secp384r1', 'sha384')],
  ['rsa/rsassa-pss-sha256', openRsa(constants.RSA_PKCS1_PSS_PADDING)],
  ['rsa/rsa-pkcs1v15-sha256', openRsa(constants.RSA_PKCS1_PADDING)],
]);

const HEX = /^([0-9a-f]{2}){8,1024}$/;
/** Bits. NIST SP 800-131A */
const MIN_RSA = 2048;

function openEd25519(hex: string): OpenKey | undefined {
  if (!/^[0-9a-f]{64}$/.test(hex)) return undefined;
  const x = Buffer.from(hex, 'hex').toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return {
    identity: `ed25519:${x}`,
    verify: (message, signature) =>
      /^[0-9a-f]{128}$/.test(signature) && verify(null, message, key, Buffer.from(signature, 'hex')),
  };
}

function openEcdsa(curve: string, hash: string) {
  return (pem: string): OpenKey | undefined => {
    const key = openPem(pem);
    if (key?.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== curve) return undefined;
    const { x, y } = key.export({ format: 'jwk' });
    return {
      identity: `${curve}:${x}:${y}`,
      verify: (message, signature) =>
        HEX.test(signature) && verify(hash, message, key, Buffer.from(signature, 'hex')),
    };
  };
}

function openRsa(padding: number) {
  return (pem: string): OpenKey | undefined => {
    const key = openPem(pem);
    if (key?.asymmetricKeyType !== 'rsa' || (key.asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA) {
      return undefined;
    }
    const { n, e } = key.export({ format: 'jwk' });
    const options =
      padding === constants.RSA_PKCS1_PSS_PADDING
        ? { key, padding, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
        : { key, padding };
    return {
      identity: `rsa:${n}:${e}`,
      verify: (message, signature) =>
        HEX.test(signature) && verify('sha256', message, options, Buffer.from(signature, 'hex')),
    };
  };
}

function openPem(pem: string): KeyObject | undefined {
  try {
    return createPublicKey(pem);
  } catch {
    return undefined;
  }
}
