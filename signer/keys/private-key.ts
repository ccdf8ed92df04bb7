import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { checkedSigner } from './checked.ts';
import { publicKeyOf, type Scheme, type Signer } from './signer.ts';

/** A signer whose private key is in this process. */
export interface PrivateKey extends Signer {
  readonly privateKey: KeyObject;
}

/** Makes a new key. Write it with `writeKeyFile` before it signs anything that counts. */
export function generateKey(scheme: Scheme = 'ed25519'): PrivateKey {
  const pair =
    scheme === 'ed25519'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return privateKeyOf(pair.privateKey);
}

/** @throws KeyError `KEY_SCHEME` for a key of another kind. */
export function privateKeyOf(privateKey: KeyObject): PrivateKey {
  const known = publicKeyOf(createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString());
  const digest = known.scheme === 'ed25519' ? null : 'sha256';
  const signer = checkedSigner(known, `key ${known.keyId.slice(0, 8)}`, (bytes) =>
    Promise.resolve(sign(digest, bytes, privateKey)),
  );
  return { ...signer, privateKey };
}
