import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { keyIdOf, tufKeyOf, type TufKey } from '../keys.ts';

/** A key pair with the names that TUF, the policy and Sigstore know it by. */
export interface TestKey {
  privateKey: KeyObject;
  /** SPKI, PEM. */
  pem: string;
  tuf: TufKey;
  /** TUF key id. */
  id: string;
  /** SHA-256 of the SPKI DER: key id in the policy, hint in a bundle. */
  hint: string;
  sign(message: Uint8Array): Buffer;
}

export function testKey(kind: 'ed25519' | 'p256' = 'ed25519'): TestKey {
  const { publicKey, privateKey } =
    kind === 'ed25519'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString();
  const tuf = tufKeyOf(pem);
  return {
    privateKey,
    pem,
    tuf,
    id: keyIdOf(tuf),
    hint: sha256(publicKey.export({ format: 'der', type: 'spki' })),
    sign: (message) => sign(kind === 'ed25519' ? null : 'sha256', message, privateKey),
  };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
