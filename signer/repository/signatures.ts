/** Signing a role, k of n, one signature after the other. */
import { verify } from 'node:crypto';
import { canonicalBytes, keyIdOf, tufKeyOf, validSigners } from '@tidegate/client-sdk/trust';
import type { Signer } from '../keys/index.ts';
import { RepositoryError, type RepositoryErrorCode } from './errors.ts';
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
 * Adds one signature. The canonical bytes are made first, and once: a slow token or a person signs what was decided, and a role of
 * 10,000 releases costs one pass.
 * @throws RepositoryError `KEY_NOT_OF_ROLE`, `ALREADY_SIGNED`, `SIGNATURE_INVALID`.
 */
export function addSignature<T extends Signed>(
  metadata: Metadata<T>,
  role: Role,
  signer: Signer,
): Promise<Metadata<T>> {
  return addSignatures(metadata, role, [signer]);
}

/** Adds several, each as `addSignature` does, for people who sign in one place: still one pass. */
export async function addSignatures<T extends Signed>(
  metadata: Metadata<T>,
  role: Role,
  signers: readonly Signer[],
): Promise<Metadata<T>> {
  const bytes = canonicalBytes(metadata.signed);
  let { signatures } = metadata;
  for (const signer of signers) signatures = await withSignature(signatures, bytes, role, signer);
  return { signed: metadata.signed, signatures };
}

async function withSignature(
  signatures: Metadata['signatures'],
  bytes: Buffer,
  role: Role,
  signer: Signer,
): Promise<Metadata['signatures']> {
  const refused = (code: RepositoryErrorCode) =>
    new RepositoryError(code, `${role.name}, key ${signer.keyId.slice(0, 8)}`);
  const computed = keyIdOf(tufKeyOf(signer.publicKey));
  if (computed !== signer.keyId || !role.keyids.includes(computed)) throw refused('KEY_NOT_OF_ROLE');
  const mine = signatures.filter(({ keyid }) => keyid === computed);
  if (mine.some(({ sig }) => verifies(signer, bytes, sig))) throw refused('ALREADY_SIGNED');
  const sig = Buffer.from(await signer.sign(bytes)).toString('hex');
  if (!verifies(signer, bytes, sig)) throw refused('SIGNATURE_INVALID');
  return [...signatures.filter(({ keyid }) => keyid !== computed), { keyid: computed, sig }];
}

function verifies({ scheme, publicKey }: Signer, bytes: Buffer, sig: string): boolean {
  return verify(scheme === 'ed25519' ? null : 'sha256', bytes, publicKey, Buffer.from(sig, 'hex'));
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
