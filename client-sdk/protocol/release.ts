/**
 * What a release says of itself, twice: once in the TUF target's `custom`, signed by the release engineers, and once in the
 * attested statement, signed by the build. A charger installs only where both agree.
 */

/** One image that a release may fall back to. Signed together with the release, so that no human key is needed at 3 a.m. */
export interface Fallback {
  /** TUF path of the older image, e.g. `acme.dc150/dc150-1.1.0.raucb`. */
  path: string;
  sha256: string;
  /** RFC 3339 with whole seconds, UTC. From then on this way down is closed. */
  expires: string;
  /** Whether the service may send a charger down this way by itself although the fallback's security version is lower. */
  auto: boolean;
}

/** A file published beside the image (a Sigstore bundle, an SBOM). It is fetched by digest and need not be a TUF target. */
export interface SideFile {
  /** Below the product, e.g. `acme.dc150/dc150-1.2.0.raucb.sigstore.json`. */
  path: string;
  sha256: string;
  /** Bytes. */
  length: number;
}

/** `custom` of a product role's target. Design §2, step 2. */
export interface TargetCustom {
  product: string;
  version: string;
  /** Hardware ids that this image fits. */
  hardware: string[];
  /** Whole number ≥ 0; never sinks below a charger's floor. */
  securityVersion: number;
  fallback: Fallback[];
  /** Any valid one suffices; where the policy asks for several builders, one of each. */
  bundles: SideFile[];
  notes: string;
  /** Sigstore bundle around the attested SBOM. */
  sbom: SideFile | null;
  cves: string[];
  /**
   * Why nobody should be brought here any more. The release stays valid and a fallback; the service plans no new rollout of it. Left out
   * when it is not deprecated.
   */
  deprecated?: string;
}

/** A target as a product role lists it, with the parts that the SDK uses. */
export interface ReleaseTarget {
  path: string;
  sha256: string;
  /** Bytes. */
  length: number;
  custom: TargetCustom;
}

/** in-toto Statement v1. https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md */
export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
/** And the one before it, which says the same by the same members: `cosign attest-blob` writes it still (3.1). */
export const STATEMENT_TYPES = [STATEMENT_TYPE, 'https://in-toto.io/Statement/v0.1'] as const;
/** SLSA Provenance v1. https://slsa.dev/spec/v1.0/provenance */
export const PROVENANCE_TYPE = 'https://slsa.dev/provenance/v1';
/** Build type of our statements: its external parameters are `ExternalParameters` below. */
export const BUILD_TYPE = 'https://tidegate.dev/build/firmware/v1';
/** DSSE payload type of an in-toto statement. */
export const IN_TOTO_PAYLOAD_TYPE = 'application/vnd.in-toto+json';

/** `predicate.buildDefinition.externalParameters` of the attested statement. Design §2, step 1. */
export interface ExternalParameters {
  product: string;
  version: string;
  hardware: string[];
  securityVersion: number;
}

/** The attested statement: one subject (the image), SLSA provenance v1. */
export interface ProvenanceStatement {
  _type: (typeof STATEMENT_TYPES)[number];
  subject: { name: string; digest: { sha256: string } }[];
  predicateType: typeof PROVENANCE_TYPE;
  predicate: {
    buildDefinition: {
      buildType: typeof BUILD_TYPE;
      externalParameters: ExternalParameters;
      internalParameters?: Record<string, unknown>;
      resolvedDependencies?: { uri?: string; digest?: Record<string, string> }[];
    };
    runDetails: {
      builder: { id: string };
      metadata?: { invocationId?: string; startedOn?: string; finishedOn?: string };
    };
  };
}

/** Predicate types of the SBOMs that are attested, as cosign names them too. */
export const CYCLONEDX_TYPE = 'https://cyclonedx.org/bom';
export const SPDX_TYPE = 'https://spdx.dev/Document';
export const SBOM_TYPES = [CYCLONEDX_TYPE, SPDX_TYPE] as const;

/** The attested SBOM: one subject (the image), and the whole document as predicate. */
export interface SbomStatement {
  _type: (typeof STATEMENT_TYPES)[number];
  subject: { name: string; digest: { sha256: string } }[];
  predicateType: (typeof SBOM_TYPES)[number];
  predicate: Record<string, unknown>;
}
