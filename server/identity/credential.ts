import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** An operator's credential. Written `<id>.<secret>`; only the secret's SHA-256 is stored. */
export interface Credential {
  /** Names the credential; no secret. */
  id: string;
  /** 32 random bytes, base64url. */
  secret: string;
}

const CREDENTIAL = /^([A-Za-z0-9_-]{8,64})\.([A-Za-z0-9_-]{43})$/;

/** Reads `<id>.<secret>`; undefined when it is not of that shape. */
export function parseCredential(text: string): Credential | undefined {
  const match = CREDENTIAL.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { id: match[1], secret: match[2] };
}

export function newCredential(): Credential {
  return { id: randomBytes(9).toString('base64url'), secret: randomBytes(32).toString('base64url') };
}

export function writeCredential({ id, secret }: Credential): string {
  return `${id}.${secret}`;
}

/** SHA-256 over the secret as it is written. A slow hash would add nothing: the secret is 256 random bits. */
export function secretSha256(secret: string): Buffer {
  return createHash('sha256').update(secret, 'utf8').digest();
}

/** Compares without telling by its duration how much agrees. */
export function sameSecret(secret: string, sha256: Uint8Array): boolean {
  const given = secretSha256(secret);
  return sha256.length === given.length && timingSafeEqual(given, sha256);
}
