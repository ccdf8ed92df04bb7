/** Signing a role, k of n, one signature after the other. */
import { canonicalBytes, validSigners } from '@tidegate/client-sdk/trust';
import type { Signer } from '../keys/index.ts';
import { RepositoryError } from './errors.ts';
import type { Metadata, Signed } from './metadata.ts';
import type { Role } from './products.ts';

export interface SignatureStatus {
  threshold: number;
  /** Key ids whose signature is valid. */
  signed: string[];
  /** Key ids that could still sign. */
  missing: string[];
  complete: boolean;
}

/**
 * Adds one signature. The canonical bytes are made first, so that a slow token or a person signs what was decided.
 * @throws RepositoryError `KEY_NOT_OF_ROLE`, `ALREADY_SIGNED`, `SIGNATURE_INVALID`.
 */
export async function addSignature<T extends Signed>(
  metadata: Metadata<T>,
  role: Role,
  signer: Signer,
): Promise<Metadata<T>> {
  const bytes = canonicalBytes(metadata.signed);
  if (!role.keyids.includes(signer.keyId)) {
    throw new RepositoryError('KEY_NOT_OF_ROLE', `${role.name}, key ${short(signer.keyId)}`);
  }
  const before = signatureStatus(metadata, role);
  if (before.signed.includes(signer.keyId)) {
    throw new RepositoryError('ALREADY_SIGNED', `${role.name}, key ${short(signer.keyId)}`);
  }
  const sig = Buffer.from(await signer.sign(bytes)).toString('hex');
  const others = metadata.signatures.filter(({ keyid }) => keyid !== signer.keyId);
  const after = { signed: metadata.signed, signatures: [...others, { keyid: signer.keyId, sig }] };
  if (signatureStatus(after, role).signed.length !== before.signed.length + 1) {
    throw new RepositoryError('SIGNATURE_INVALID', `${role.name}, key ${short(signer.keyId)}`);
  }
  return after;
}

/** Who has signed, with a signature that verifies, and who is missing. */
export function signatureStatus(metadata: Metadata, role: Role): SignatureStatus {
  const signed = validSigners(metadata, role.keys, role.keyids);
  const missing = role.keyids.filter((keyid) => !signed.includes(keyid));
  return { threshold: role.threshold, signed, missing, complete: signed.length >= role.threshold };
}

/** @throws RepositoryError `THRESHOLD_NOT_MET`. */
export function checkSigned(metadata: Metadata, role: Role): void {
  const { signed, threshold, complete } = signatureStatus(metadata, role);
  if (!complete) {
    throw new RepositoryError('THRESHOLD_NOT_MET', `${role.name} has ${signed.length} of ${threshold}`);
  }
}

function short(keyId: string): string {
  return keyId.slice(0, 8);
}
