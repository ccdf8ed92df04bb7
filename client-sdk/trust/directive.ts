/** Verifies what the service's director says to this charger. Design §3. */
import { createPublicKey, timingSafeEqual, verify } from 'node:crypto';
import {
  ASSIGNMENT,
  DIRECTIVE_MAX_SECONDS,
  DIRECTIVE_PAYLOAD_TYPE,
  FILE_NAME,
  ORGANISATION,
  preAuthEncoding,
  PRODUCT,
  Refusal,
  SERIAL,
  SHA256,
  VERSION,
  type Directive,
  type DirectiveTarget,
  type Envelope,
  type ReleaseTarget,
  type TrustPolicy,
} from '../protocol/index.ts';
import { arrayOf, instant, integer, object, oneOf, parseJson, ShapeError, text } from './shape.ts';
import type { TrustedSet } from './trusted-set.ts';

/** How far a service's clock may run ahead of the charger's, in milliseconds. */
const SKEW_MS = 5 * 60 * 1000;
const MAX_PAYLOAD_BYTES = 16 * 1024;

const base64 = (maxLength: number) => text(maxLength, /^[A-Za-z0-9+/]+={0,2}$/);

const readEnvelope = object({
  payloadType: oneOf(DIRECTIVE_PAYLOAD_TYPE),
  payload: base64(4 * Math.ceil(MAX_PAYLOAD_BYTES / 3)),
  signatures: arrayOf(object({ keyid: text(64, SHA256), sig: base64(128) }), 8, 1),
});

const target = object({
  path: text(256, new RegExp(`^${PRODUCT.source.slice(1, -1)}/${FILE_NAME.source.slice(1, -1)}$`)),
  sha256: text(64, SHA256),
  length: integer(1),
  version: text(128, VERSION),
});

const readDirective = object(
  {
    _type: oneOf('tidegate-directive'),
    organisation: text(32, ORGANISATION),
    serial: text(64, SERIAL),
    nonce: text(64, /^[A-Za-z0-9_-]{16,64}$/),
    epoch: integer(1),
    sequence: integer(1),
    issuedAt: instant,
    expires: instant,
    action: oneOf('none', 'install', 'activate', 'withdraw'),
  },
  {
    assignment: text(128, ASSIGNMENT),
    target,
    purpose: oneOf('rollout', 'rollback'),
    reason: text(500),
  },
);

export interface DirectiveContext {
  policy: TrustPolicy;
  /** Pinned at enrolment. */
  organisation: string;
  serial: string;
  /** Of the request that this answers. */
  nonce: string;
}

/**
 * The signed time of an answer (`issuedAt`, in milliseconds), for a charger that does not know the time yet: signature, addressee and
 * nonce are checked, expiry and sequence cannot be.
 * @throws Refusal DIRECTIVE_MALFORMED, DIRECTIVE_UNSIGNED, DIRECTIVE_NOT_MINE, DIRECTIVE_NONCE
 */
export function directiveTime(envelope: unknown, context: DirectiveContext): number {
  return Date.parse(openDirective(envelope, context).issuedAt);
}

/**
 * @param context.last of the directive accepted before this one.
 * @throws Refusal as `directiveTime`, and DIRECTIVE_EXPIRED, DIRECTIVE_SEQUENCE
 */
export function verifyDirective(
  envelope: unknown,
  context: DirectiveContext & { now: number; last: { epoch: number; sequence: number } | undefined },
): Directive {
  const directive = openDirective(envelope, context);
  refuseOutsideItsLife(directive, context.now);
  refuseOldSequence(directive, context);
  return directive;
}

/**
 * The product role's own entry of what a directive names.
 * @throws Refusal TARGET_UNKNOWN, TARGET_MALFORMED, TARGET_MISMATCH
 */
export function directedTarget(wanted: DirectiveTarget, set: TrustedSet, product: string): ReleaseTarget {
  const found = set.productTarget(product, wanted.path);
  if (
    found.sha256 !== wanted.sha256 ||
    found.length !== wanted.length ||
    found.custom.version !== wanted.version
  ) {
    throw new Refusal('TARGET_MISMATCH', wanted.path);
  }
  return found;
}

function openDirective(envelope: unknown, context: DirectiveContext): Directive {
  const payload = verifiedPayload(envelope, context);
  const directive: Directive = malformed(() => readDirective(parseJson(payload, MAX_PAYLOAD_BYTES), ''));
  malformed(() => checkAction(directive));
  if (directive.organisation !== context.organisation || directive.serial !== context.serial) {
    throw new Refusal('DIRECTIVE_NOT_MINE', `it is for ${directive.organisation}/${directive.serial}`);
  }
  if (!sameText(directive.nonce, context.nonce)) throw new Refusal('DIRECTIVE_NONCE', directive.action);
  return directive;
}

/** The payload, once a current director key of the organisation has signed it. DSSE v1, "Verification". */
function verifiedPayload(value: unknown, { policy, organisation }: DirectiveContext): Buffer {
  const envelope: Envelope = malformed(() => readEnvelope(value, ''));
  const payload = Buffer.from(envelope.payload, 'base64');
  const message = preAuthEncoding(envelope.payloadType, payload);
  const director = Object.hasOwn(policy.directors, organisation) ? policy.directors[organisation] : undefined;
  const active = director?.keys.filter((key) => key.state === 'active') ?? [];
  const signed = envelope.signatures.some(({ keyid, sig }) => {
    const key = active.find((candidate) => candidate.keyId === keyid);
    return (
      key !== undefined && verify(null, message, createPublicKey(key.publicKey), Buffer.from(sig, 'base64'))
    );
  });
  if (!signed) throw new Refusal('DIRECTIVE_UNSIGNED', `for ${organisation}`);
  return payload;
}

function checkAction({ action, target, assignment }: Directive): void {
  const wantsTarget = action === 'install' || action === 'activate';
  if (wantsTarget !== (target !== undefined)) {
    throw new ShapeError('/target', 'there with install and activate, and else not');
  }
  if ((action !== 'none') !== (assignment !== undefined)) {
    throw new ShapeError('/assignment', 'there unless the action is none');
  }
}

function refuseOutsideItsLife(directive: Directive, now: number): void {
  const issuedAt = Date.parse(directive.issuedAt);
  const expires = Date.parse(directive.expires);
  const lives = expires - issuedAt;
  // Written so that a time that is no number refuses.
  const valid =
    now < expires && issuedAt <= now + SKEW_MS && lives > 0 && lives <= DIRECTIVE_MAX_SECONDS * 1000;
  if (!valid) throw new Refusal('DIRECTIVE_EXPIRED', `${directive.issuedAt} to ${directive.expires}`);
}

function refuseOldSequence(
  { epoch, sequence }: Directive,
  {
    policy,
    organisation,
    last,
  }: DirectiveContext & { last: { epoch: number; sequence: number } | undefined },
): void {
  if (epoch !== policy.directors[organisation]?.epoch) {
    throw new Refusal('DIRECTIVE_SEQUENCE', `epoch ${epoch} is not the policy's`);
  }
  const above =
    last === undefined || epoch > last.epoch || (epoch === last.epoch && sequence > last.sequence);
  if (!above)
    throw new Refusal('DIRECTIVE_SEQUENCE', `${epoch}/${sequence} after ${last.epoch}/${last.sequence}`);
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function malformed<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw new Refusal('DIRECTIVE_MALFORMED', (error as Error).message.slice(0, 300), { cause: error });
  }
}
