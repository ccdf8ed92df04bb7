/** Reads `trust/policy.json`. Closed: a rule that an older charger does not know must come at a new path, not be passed over. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import {
  ORGANISATION,
  PRODUCT,
  Refusal,
  SHA256,
  type Builder,
  type DirectorKey,
  type IdentityBuilder,
  type KeyBuilder,
  type ProductPolicy,
  type TrustPolicy,
} from '../protocol/index.ts';
import { builderName, partyOf } from './builders.ts';
import { MAX_SECURITY_VERSION } from './custom.ts';
import { keyIdOf, tufKeyOf } from './keys.ts';
import {
  arrayOf,
  instant,
  integer,
  object,
  oneOf,
  own,
  parseJson,
  recordOf,
  ShapeError,
  text,
  type Reader,
} from './shape.ts';

/** Longest policy that is read, in bytes. */
export const MAX_POLICY_BYTES = 256 * 1024;

const state = oneOf('active', 'retired', 'compromised');
const keyId = text(64, SHA256);
const pem = text(2048, /^-----BEGIN PUBLIC KEY-----\n/);
const party = text(64, /^[a-z0-9][a-z0-9._-]*$/);
/** Most builders that a policy can ask for: each needs a bundle of its own. */
const MAX_BUILDER_THRESHOLD = 8;

const keyBuilder: Reader<KeyBuilder> = (value, at) => {
  const builder = object({ kind: oneOf('key'), keyId, publicKey: pem, state }, { retiredAt: instant, party })(
    value,
    at,
  );
  const key = builderKey(builder, at);
  // Of the key and not of its encoding: a compressed point would make a second builder of the same key.
  const plain = createPublicKey({ key: key.export({ format: 'jwk' }), format: 'jwk' });
  if (spkiDigest(plain) !== builder.keyId) throw new ShapeError(`${at}/keyId`, 'the SHA-256 of the key');
  return retirement(builder, at);
};

const identityBuilder: Reader<IdentityBuilder> = (value, at) =>
  retirement(
    object(
      {
        kind: oneOf('identity'),
        issuer: text(512, /^https:\/\/[^\s]+$/),
        workflow: text(512, /^(https|spiffe):\/\/[^\s@]+$/),
        // A bare `*` would let any branch sign.
        ref: text(256, /^(refs\/[^\s*]+\*?)?$/),
        state,
      },
      { retiredAt: instant, party },
    )(value, at),
    at,
  );

const builder: Reader<Builder> = (value, at) =>
  own(value, at).get('kind') === 'identity' ? identityBuilder(value, at) : keyBuilder(value, at);

const productPolicy: Reader<ProductPolicy> = (value, at) => {
  const policy = object(
    {
      builders: arrayOf(builder, 64),
      logs: integer(0, 8),
      timestamps: integer(0, 8),
      securityVersionCap: integer(0, MAX_SECURITY_VERSION),
      emergencyFloor: integer(0, MAX_SECURITY_VERSION),
    },
    { builderThreshold: integer(1, MAX_BUILDER_THRESHOLD), sbom: oneOf('optional', 'required') },
  )(value, at);
  if (policy.emergencyFloor > policy.securityVersionCap) {
    throw new ShapeError(`${at}/emergencyFloor`, 'at most the cap, else no image is left');
  }
  refuseTwoParties(policy.builders, at);
  const parties = new Set(policy.builders.map(partyOf));
  if ((policy.builderThreshold ?? 1) > Math.max(1, parties.size)) {
    throw new ShapeError(`${at}/builderThreshold`, 'at most the number of parties, else no image is left');
  }
  return policy;
};

const directorKey: Reader<DirectorKey> = (value, at) => {
  const director = object({ keyId, publicKey: pem, state })(value, at);
  const tufKey = tufKeyOf(director.publicKey);
  if (tufKey.keytype !== 'ed25519') throw new ShapeError(`${at}/publicKey`, 'Ed25519');
  if (keyIdOf(tufKey) !== director.keyId) throw new ShapeError(`${at}/keyId`, 'the TUF key id of the key');
  return director;
};

const readPolicy = object({
  _type: oneOf('tidegate-policy'),
  version: integer(1),
  directors: recordOf(ORGANISATION, object({ epoch: integer(1), keys: arrayOf(directorKey, 16) }), 256),
  products: recordOf(PRODUCT, productPolicy, 1024),
  denied: object({ digests: arrayOf(keyId, 4096), signers: arrayOf(text(1024), 1024) }),
});

/** @throws Refusal POLICY_MALFORMED */
export function parsePolicy(bytes: Uint8Array): TrustPolicy {
  try {
    return readPolicy(parseJson(bytes, MAX_POLICY_BYTES), '');
  } catch (error) {
    throw new Refusal('POLICY_MALFORMED', (error as Error).message.slice(0, 300), { cause: error });
  }
}

/** @throws Refusal BUILDER_UNKNOWN: a product that the policy does not name has no builders. */
export function productPolicyOf(policy: TrustPolicy, product: string): ProductPolicy {
  const found = Object.hasOwn(policy.products, product) ? policy.products[product] : undefined;
  if (found === undefined) throw new Refusal('BUILDER_UNKNOWN', `the policy does not name ${product}`);
  return found;
}

/** What a product asks of the attestations of each image. */
export function attestationsAsked(policy: ProductPolicy): { builders: number; sbom: boolean } {
  return { builders: policy.builderThreshold ?? 1, sbom: policy.sbom === 'required' };
}

/** One builder in two parties would count as both. */
function refuseTwoParties(builders: readonly Builder[], at: string): void {
  const parties = new Map<string, string>();
  for (const [i, builder] of builders.entries()) {
    const name = builderName(builder);
    const known = parties.get(name) ?? partyOf(builder);
    if (known !== partyOf(builder)) throw new ShapeError(`${at}/builders/${i}/party`, `${known}, as before`);
    parties.set(name, known);
  }
}

/** SHA-256 (hex) of a key's SPKI DER: the id of a key builder and the hint in its bundles. */
export function spkiDigest(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ format: 'der', type: 'spki' }))
    .digest('hex');
}

function builderKey(builder: KeyBuilder, at: string): KeyObject {
  const key = createPublicKey(builder.publicKey);
  const p256 = key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
  // P-384 and RSA do not verify in DSSE as @sigstore/verify does it, so they must not be promised.
  if (!p256 && key.asymmetricKeyType !== 'ed25519') {
    throw new ShapeError(`${at}/publicKey`, 'P-256 or Ed25519');
  }
  return key;
}

function retirement<B extends Builder>(builder: B, at: string): B {
  if ((builder.state === 'retired') !== (builder.retiredAt !== undefined)) {
    throw new ShapeError(`${at}/retiredAt`, 'there if, and only if, the state is retired');
  }
  return builder;
}
