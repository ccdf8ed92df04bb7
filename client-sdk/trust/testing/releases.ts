/** Releases, statements, key-signed bundles and a policy that fits them, each open to being made wrong. */
import {
  BUILD_TYPE,
  CYCLONEDX_TYPE,
  IN_TOTO_PAYLOAD_TYPE,
  preAuthEncoding,
  PROVENANCE_TYPE,
  STATEMENT_TYPE,
  type ProvenanceStatement,
  type ReleaseTarget,
  type SbomStatement,
  type TargetCustom,
  type TrustPolicy,
} from '../../protocol/index.ts';
import { sha256, type TestKey } from './keys.ts';
import { PRODUCT } from './repository.ts';

export const IMAGE = Buffer.from('an image');

export function custom(changes: Partial<TargetCustom> = {}): TargetCustom {
  return {
    product: PRODUCT,
    version: '1.2.0',
    hardware: ['dc150-r1', 'dc150-r2'],
    securityVersion: 3,
    fallback: [],
    bundles: [],
    notes: '',
    sbom: null,
    cves: [],
    ...changes,
  };
}

export function release(changes: Partial<TargetCustom> = {}, image: Uint8Array = IMAGE): ReleaseTarget {
  const said = custom(changes);
  return {
    path: `${said.product}/dc150-${said.version}.raucb`,
    sha256: sha256(image),
    length: image.length,
    custom: said,
  };
}

/** The release with these bundles listed. */
export function withBundles(target: ReleaseTarget, bundles: readonly Uint8Array[]): ReleaseTarget {
  const listed = bundles.map((bundle, i) => ({
    path: `${target.path}.${i}.sigstore.json`,
    sha256: sha256(bundle),
    length: bundle.length,
  }));
  return { ...target, custom: { ...target.custom, bundles: listed } };
}

export function statement(target: ReleaseTarget = release()): ProvenanceStatement {
  const { product, version, hardware, securityVersion } = target.custom;
  return {
    _type: STATEMENT_TYPE,
    subject: [{ name: 'dc150.raucb', digest: { sha256: target.sha256 } }],
    predicateType: PROVENANCE_TYPE,
    predicate: {
      buildDefinition: {
        buildType: BUILD_TYPE,
        externalParameters: { product, version, hardware, securityVersion },
      },
      runDetails: { builder: { id: 'https://ci.example/builder' } },
    },
  };
}

/** What `tidegate sign --sbom` attests. */
export function sbomStatement(
  target: ReleaseTarget = release(),
  predicate: Record<string, unknown> = {},
): SbomStatement {
  return {
    _type: STATEMENT_TYPE,
    subject: [{ name: 'dc150.raucb', digest: { sha256: target.sha256 } }],
    predicateType: CYCLONEDX_TYPE,
    predicate: { bomFormat: 'CycloneDX', specVersion: '1.6', ...predicate },
  };
}

/** The release with this SBOM listed. */
export function withSbom(target: ReleaseTarget, bundle: Uint8Array): ReleaseTarget {
  const path = `${target.path}.sbom.sigstore.json`;
  const sbom = { path, sha256: sha256(bundle), length: bundle.length };
  return { ...target, custom: { ...target.custom, sbom } };
}

/** Bundle v0.3 with one DSSE signature. */
export function keyBundle(key: TestKey, said: unknown, payloadType: string = IN_TOTO_PAYLOAD_TYPE): Buffer {
  const payload = Buffer.from(JSON.stringify(said));
  return Buffer.from(
    JSON.stringify({
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: { publicKey: { hint: key.hint }, tlogEntries: [] },
      dsseEnvelope: {
        payloadType,
        payload: payload.toString('base64'),
        signatures: [{ keyid: '', sig: key.sign(preAuthEncoding(payloadType, payload)).toString('base64') }],
      },
    }),
  );
}

export function policy(builder: TestKey, director: TestKey, changes: Partial<TrustPolicy> = {}): TrustPolicy {
  return {
    _type: 'tidegate-policy',
    version: 1,
    directors: {
      acme: { epoch: 2, keys: [{ keyId: director.id, publicKey: director.pem, state: 'active' }] },
    },
    products: {
      [PRODUCT]: {
        builders: [{ kind: 'key', keyId: builder.hint, publicKey: builder.pem, state: 'active' }],
        logs: 0,
        timestamps: 0,
        securityVersionCap: 10,
        emergencyFloor: 0,
      },
    },
    denied: { digests: [], signers: [] },
    ...changes,
  };
}
