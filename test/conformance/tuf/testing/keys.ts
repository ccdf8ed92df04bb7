import { constants, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { keyIdOf, type TufKey } from '@tidegate/client-sdk/trust/tuf';

export interface RoleKey {
  id: string;
  tuf: TufKey;
  /** Hex. */
  sign(message: Uint8Array): string;
}

export type Kind = 'ed25519' | 'ecdsa' | 'rsa-pss' | 'rsa-pkcs1';

/** @param extra members of the key that the specification does not know; they are part of its id. */
export function roleKey(kind: Kind = 'ecdsa', extra: object = {}): RoleKey {
  const { publicKey, privateKey } = generate(kind);
  const tuf = { ...describe(kind, publicKey), ...extra };
  return { id: keyIdOf(tuf), tuf, sign: (message) => signed(kind, message, privateKey).toString('hex') };
}

function generate(kind: Kind): { publicKey: KeyObject; privateKey: KeyObject } {
  if (kind === 'ed25519') return generateKeyPairSync('ed25519');
  if (kind === 'ecdsa') return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

function describe(kind: Kind, publicKey: KeyObject): TufKey {
  const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString();
  switch (kind) {
    case 'ed25519': {
      const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url').toString('hex');
      return { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: raw } };
    }
    case 'ecdsa':
      return { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: pem } };
    case 'rsa-pss':
      return { keytype: 'rsa', scheme: 'rsassa-pss-sha256', keyval: { public: pem } };
    case 'rsa-pkcs1':
      return { keytype: 'rsa', scheme: 'rsa-pkcs1v15-sha256', keyval: { public: pem } };
  }
}

function signed(kind: Kind, message: Uint8Array, key: KeyObject): Buffer {
  if (kind === 'ed25519') return sign(null, message, key);
  if (kind === 'rsa-pss') {
    return sign('sha256', message, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
  }
  return sign('sha256', message, key);
}
