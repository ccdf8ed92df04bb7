/** Verifies a signature over what is known by its digest only; Node's crypto wants the bytes. For the tests of others, and nothing else. */
import { constants, publicDecrypt, timingSafeEqual, type KeyObject } from 'node:crypto';
import { p256, p384 } from '@noble/curves/nist.js';

/** DigestInfo of a SHA-256. RFC 8017 9.2 note 1 */
const SHA256_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex');

export function verifyPrehashed(sha256: Buffer, key: KeyObject, signature: Buffer): boolean {
  switch (key.asymmetricKeyType) {
    case 'ec':
      return verifyEcdsa(sha256, key, signature);
    case 'rsa':
      return verifyRsa(sha256, key, signature);
    default:
      // Ed25519 signs the message itself, not its digest.
      throw new TypeError(`a digest is not enough for a key of type ${key.asymmetricKeyType}`);
  }
}

function verifyEcdsa(sha256: Buffer, key: KeyObject, signature: Buffer): boolean {
  const curve = { prime256v1: p256, secp384r1: p384 }[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (curve === undefined) throw new TypeError(`no curve ${key.asymmetricKeyDetails?.namedCurve}`);
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  return curve.verify(signature, sha256, point, { prehash: false, lowS: false, format: 'der' });
}

function verifyRsa(sha256: Buffer, key: KeyObject, signature: Buffer): boolean {
  const info = publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature);
  const wanted = Buffer.concat([SHA256_INFO, sha256]);
  return info.length === wanted.length && timingSafeEqual(info, wanted);
}
