/** Verifies a bundle twice: with @sigstore/verify by itself, and as a charger does. */
import { createPublicKey } from 'node:crypto';
import { bundleFromJSON } from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';
import type { TrustPolicy } from '@tidegate/client-sdk/protocol';
import { parsePolicy, verifyBundle, type VerifiedStatement } from '@tidegate/client-sdk/trust';
import { hintOf, type PublicKey } from '@tidegate/signer/keys';

const NO_SIGSTORE = { mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1' };

export interface Expected {
  /** Default: an empty one. */
  trustedRoot?: unknown;
  /** How many of each the bundle must carry. Default: none. */
  logs?: number;
  timestamps?: number;
}

/** @throws when either verifier refuses. */
export function expectVerified(
  bundle: Uint8Array,
  key: Pick<PublicKey, 'publicKey'>,
  sha256: string,
  { trustedRoot = NO_SIGSTORE, logs = 0, timestamps = 0 }: Expected = {},
): VerifiedStatement {
  const json: unknown = JSON.parse(Buffer.from(bundle).toString('utf8'));
  const hint = hintOf(key.publicKey);
  const trust = toTrustMaterial(TrustedRoot.fromJSON(trustedRoot), (named) => {
    if (named !== hint) throw new Error(`the bundle names key ${named}`);
    return { publicKey: createPublicKey(key.publicKey), validFor: () => true };
  });
  new Verifier(trust, { tlogThreshold: logs, timestampThreshold: timestamps, ctlogThreshold: 0 }).verify(
    toSignedEntity(bundleFromJSON(json)),
  );
  const builder = { kind: 'key', keyId: hint, publicKey: key.publicKey, state: 'active' };
  return verifyBundle({
    bundle,
    sha256,
    policy: policyFor('acme.dc150', builder, { logs, timestamps }),
    product: 'acme.dc150',
    sigstoreRoot: Buffer.from(JSON.stringify(trustedRoot)),
  });
}

export function policyFor(
  product: string,
  builder: unknown,
  evidence: { logs: number; timestamps: number },
): TrustPolicy {
  return parsePolicy(
    Buffer.from(
      JSON.stringify({
        _type: 'tidegate-policy',
        version: 1,
        directors: {},
        products: {
          [product]: { builders: [builder], ...evidence, securityVersionCap: 9, emergencyFloor: 0 },
        },
        denied: { digests: [], signers: [] },
      }),
    ),
  );
}
