/**
 * What the service's director says to one charger: a DSSE envelope around a `Directive`.
 * Every answer to a check-in carries one, because it is also how a charger learns signed time.
 */

/** DSSE payload type of a directive. */
export const DIRECTIVE_PAYLOAD_TYPE = 'application/vnd.tidegate.directive+json';

/** Longest life of a directive, in seconds. Design §3, "Directive". */
export const DIRECTIVE_MAX_SECONDS = 24 * 60 * 60;

/**
 * What is wanted of the charger:
 * - `none`: nothing; the answer still proves the time.
 * - `install`: take this target into the inactive slot, then confirm.
 * - `activate`: the live confirmation of a staged target: boot it. Never sent in a check-in's answer, only in a confirmation's.
 * - `withdraw`: drop what is staged or being fetched for this assignment; it is not wanted any more.
 */
export type DirectiveAction = 'none' | 'install' | 'activate' | 'withdraw';

export interface DirectiveTarget {
  /** TUF path in the charger's own product role. */
  path: string;
  sha256: string;
  /** Bytes. */
  length: number;
  version: string;
}

export interface Directive {
  _type: 'tidegate-directive';
  organisation: string;
  /** Serial number of the charger it is for. */
  serial: string;
  /** Echo of the request's nonce. */
  nonce: string;
  /** Of the director, from the policy. */
  epoch: number;
  /** Above every earlier one that this charger accepted in this epoch. Whole number. */
  sequence: number;
  /** RFC 3339, UTC, whole seconds: signed time. */
  issuedAt: string;
  /** RFC 3339, UTC, whole seconds; at most 24 h after `issuedAt`. */
  expires: string;
  action: DirectiveAction;
  /** With `install`, `activate` and `withdraw`. */
  assignment?: string;
  /** With `install` and `activate`. */
  target?: DirectiveTarget;
  /** Why, with `install`: `rollout` goes forward, `rollback` along the signed fallback list. The charger's rules do not depend on it. */
  purpose?: 'rollout' | 'rollback';
  /** With `withdraw`: a word for the log. */
  reason?: string;
}

/** DSSE envelope, as in https://github.com/secure-systems-lab/dsse/blob/master/envelope.md */
export interface Envelope {
  payloadType: string;
  /** Base64. */
  payload: string;
  signatures: { keyid: string; sig: string }[];
}

/** Bytes that a DSSE signature covers: the pre-authentication encoding. DSSE v1 protocol, "PAE". */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType, 'utf8');
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${type.length} `),
    type,
    Buffer.from(` ${payload.length} `),
    payload,
  ]);
}
