/** TUF keys and thresholds: ids are computed, and it is distinct public keys that count. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { Refusal, refusing } from '../protocol/index.ts';
import { canonicalBytes } from './canonical.ts';
import { OWN_SCHEMES, type Schemes } from './schemes.ts';

/** A key as TUF metadata holds it; unknown members are kept, because they are part of the key id. TUF 4.2 */
export interface TufKey {
  keytype: string;
  scheme: string;
  keyval: { public: string };
}

export interface Signature {
  keyid: string;
  /** Hex; empty where the signature is still missing. */
  sig: string;
}

export interface SignedEnvelope {
  signed: unknown;
  signatures: Signature[];
}

/** Whose signatures a role needs, and how many. */
export interface RoleKeys {
  keyids: string[];
  threshold: number;
}

/** SHA-256 over the canonical form of the key. TUF 4.2 */
export function keyIdOf(key: TufKey): string {
  return createHash('sha256').update(canonicalBytes(key)).digest('hex');
}

/**
 * The TUF key of a public key (SPKI, PEM): Ed25519 as hex, P-256 as PEM. TUF 4.2
 * @throws TypeError for any other kind of key.
 */
export function tufKeyOf(publicKey: string): TufKey {
  const key = createPublicKey(publicKey);
  if (key.asymmetricKeyType === 'ed25519') {
    const raw = Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url');
    return { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: raw.toString('hex') } };
  }
  if (isP256(key)) {
    const pem = key.export({ format: 'pem', type: 'spki' }).toString();
    return { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: pem } };
  }
  throw new TypeError(`a key must be Ed25519 or P-256, not ${key.asymmetricKeyType ?? 'unknown'}`);
}

/**
 * Key ids whose signature over `signed` is valid, one for each distinct public key.
 * A signature that is missing, by a stranger or wrong is passed over: it only fails to count. TUF 5.3.4
 */
export function validSigners(
  envelope: SignedEnvelope,
  keys: ReadonlyMap<string, TufKey>,
  keyids: readonly string[],
  schemes: Schemes = OWN_SCHEMES,
): string[] {
  const allowed = new Set(keyids);
  const message = canonicalBytes(envelope.signed);
  const signers = new Map<string, string>();
  for (const { keyid, sig } of envelope.signatures) {
    const key = allowed.has(keyid) ? keys.get(keyid) : undefined;
    if (key === undefined) continue;
    const verifier = schemes.get(`${key.keytype}/${key.scheme}`)?.(key.keyval.public);
    // By public key: one under two ids would otherwise meet a threshold of two.
    if (verifier?.verify(message, sig) === true) signers.set(verifier.identity, keyid);
  }
  return [...signers.values()];
}

/** @throws Refusal METADATA_MALFORMED; METADATA_UNSIGNED when fewer than `threshold` distinct public keys signed. */
export function verifyThreshold(
  envelope: SignedEnvelope,
  keys: ReadonlyMap<string, TufKey>,
  keyids: readonly string[],
  threshold: number,
  schemes: Schemes = OWN_SCHEMES,
): void {
  // Deep nesting and fractions have no canonical form; only hostile metadata holds them.
  const signers = refusing('METADATA_MALFORMED', 'no canonical form', () =>
    validSigners(envelope, keys, keyids, schemes),
  );
  if (!(threshold >= 1) || signers.length < threshold) {
    throw new Refusal('METADATA_UNSIGNED', `${signers.length} of ${threshold} signatures`);
  }
}

/** SHA-256 over a role's key ids: what a high-water mark is bound to. The ids are hashes of the keys themselves. */
export function keySetHash(keyids: readonly string[]): string {
  return createHash('sha256')
    .update(canonicalBytes([...keyids].sort()))
    .digest('hex');
}

function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
}
