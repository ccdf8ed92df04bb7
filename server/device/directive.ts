import {
  DIRECTIVE_MAX_SECONDS,
  DIRECTIVE_PAYLOAD_TYPE,
  type Directive,
  type Envelope,
  preAuthEncoding,
} from '@tidegate/client-sdk/protocol';
import type { Signer } from '@tidegate/signer/keys';

/** What is said to a charger; the rest of a directive follows from whom it is for and when. */
export type Wish = Pick<Directive, 'action' | 'assignment' | 'target' | 'purpose' | 'reason'>;

export interface Addressee {
  organisation: string;
  serial: string;
  /** Of the charger's request. */
  nonce: string;
  /** Of the director, from the policy. */
  epoch: number;
  sequence: number;
}

/**
 * Signs a directive.
 * @param now milliseconds of the fleet's clock.
 * @param seconds its life; at most `DIRECTIVE_MAX_SECONDS`.
 */
export async function signDirective(
  director: Signer,
  to: Addressee,
  wish: Wish,
  now: number,
  seconds = DIRECTIVE_MAX_SECONDS,
): Promise<Envelope> {
  const issued = Math.floor(now / 1000);
  const directive: Directive = {
    _type: 'tidegate-directive',
    ...to,
    issuedAt: wholeSeconds(issued),
    expires: wholeSeconds(issued + Math.min(seconds, DIRECTIVE_MAX_SECONDS)),
    ...wish,
  };
  const payload = Buffer.from(JSON.stringify(directive));
  const signature = await director.sign(preAuthEncoding(DIRECTIVE_PAYLOAD_TYPE, payload));
  return {
    payloadType: DIRECTIVE_PAYLOAD_TYPE,
    payload: payload.toString('base64'),
    signatures: [{ keyid: director.keyId, sig: Buffer.from(signature).toString('base64') }],
  };
}

/** Above the last one, and above what a service restored from an older backup would give. Design §6: max(last + 1, Unix time) */
export function nextSequence(last: number, now: number): number {
  return Math.max(last + 1, Math.floor(now / 1000));
}

function wholeSeconds(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}
