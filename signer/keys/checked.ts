import { createPublicKey, verify } from 'node:crypto';
import { KeyError } from './errors.ts';
import type { PublicKey, Signer } from './signer.ts';

/**
 * A signer whose every signature is verified before anybody sees it: a token with two keys of one name, a wrong key id in a script or a
 * bit that flipped shows here, and not on a charger.
 * @param name which key, for errors.
 * @throws KeyError `KEY_SIGNATURE_WRONG`, and whatever `sign` throws.
 */
export function checkedSigner(
  known: PublicKey,
  name: string,
  sign: (bytes: Uint8Array) => Promise<Uint8Array>,
): Signer {
  const key = createPublicKey(known.publicKey);
  const digest = known.scheme === 'ed25519' ? null : 'sha256';
  return {
    ...known,
    sign: async (bytes) => {
      const signature = await sign(bytes);
      if (!verify(digest, bytes, key, signature)) throw new KeyError('KEY_SIGNATURE_WRONG', name);
      return signature;
    },
  };
}
