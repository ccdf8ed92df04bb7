/** Which of a product's builders signed, and whether that still counts. Design §3, "Keys". */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { Refusal, type Builder, type IdentityBuilder, type KeyBuilder } from '../protocol/index.ts';

/** Who signed, as far as it is proven. */
export type Signer = { kind: 'key'; keyId: string } | { kind: 'identity'; issuer: string; san: string };

/** One line for logs and deny lists: the key id, or the certificate's SAN URI. */
export function signerName(signer: Signer): string {
  return signer.kind === 'key' ? signer.keyId : signer.san;
}

/** A key, or an issuer and workflow whatever the ref: one workflow that runs on two branches is one builder. */
export function builderName(builder: Builder): string {
  return builder.kind === 'key' ? builder.keyId : `${builder.issuer} ${builder.workflow}`;
}

/** As whom a builder counts where several are asked for. */
export function partyOf(builder: Builder): string {
  return builder.party === undefined ? `builder ${builderName(builder)}` : `party ${builder.party}`;
}

/** The key id that a bundle's hint stands for: we write the SHA-256 of the SPKI in hex, cosign the same in base64. */
export function keyIdOfHint(hint: string): string {
  return /^[A-Za-z0-9+/]{43}=$/.test(hint) ? Buffer.from(hint, 'base64').toString('hex') : hint;
}

/** @throws Refusal BUILDER_UNKNOWN */
export function builderKey(builders: readonly Builder[], keyId: string): KeyObject {
  const builder = builders.find((candidate): candidate is KeyBuilder => isKey(candidate, keyId));
  if (builder === undefined) throw new Refusal('BUILDER_UNKNOWN', `key ${keyId.slice(0, 64)}`);
  return createPublicKey(builder.publicKey);
}

/**
 * @param times trusted timestamps over the signature, in milliseconds.
 * @returns the party as which it counts.
 * @throws Refusal BUILDER_UNKNOWN, BUILDER_REVOKED
 */
export function countedParty(builders: readonly Builder[], signer: Signer, times: number[]): string {
  const matching = builders.filter((builder) =>
    signer.kind === 'key' ? isKey(builder, signer.keyId) : isIdentity(builder, signer),
  );
  const [first] = matching;
  if (first === undefined) throw new Refusal('BUILDER_UNKNOWN', signerName(signer).slice(0, 256));
  if (matching.some((builder) => builder.state === 'compromised')) {
    throw new Refusal('BUILDER_REVOKED', `${signerName(signer)} is compromised`);
  }
  // Entries of one builder are of one party: the policy's reader sees to that.
  const party = partyOf(first);
  if (matching.some((builder) => builder.state === 'active')) return party;
  const retiredAt = Math.max(...matching.map((builder) => Date.parse(builder.retiredAt ?? '')));
  // No timestamp proves no time: whoever holds the retired key could sign today.
  if (times.length > 0 && times.every((time) => time < retiredAt)) return party;
  throw new Refusal('BUILDER_REVOKED', `${signerName(signer)} is retired`);
}

function isKey(builder: Builder, keyId: string): builder is KeyBuilder {
  return builder.kind === 'key' && builder.keyId === keyId;
}

/** Compared as text: @sigstore/verify would take a text for an unanchored pattern. */
function isIdentity(builder: Builder, signer: { issuer: string; san: string }): builder is IdentityBuilder {
  if (builder.kind !== 'identity' || builder.issuer !== signer.issuer) return false;
  if (builder.ref === '') return signer.san === builder.workflow;
  const at = signer.san.indexOf('@');
  if (at < 0 || signer.san.slice(0, at) !== builder.workflow) return false;
  const ref = signer.san.slice(at + 1);
  return builder.ref.endsWith('*') ? ref.startsWith(builder.ref.slice(0, -1)) : ref === builder.ref;
}
