/**
 * `trust/policy.json`: who may build, who may direct, and what is refused whatever else is signed.
 * A top-level TUF target, so k of n offline `targets` keys sign it.
 */

/**
 * What a key is worth.
 * - `active`: its signatures count.
 * - `retired`: they count only with a trusted timestamp before `retiredAt`.
 * - `compromised`: they never count.
 */
export type KeyState = 'active' | 'retired' | 'compromised';

/** A build identity that holds a key of its own. */
export interface KeyBuilder {
  kind: 'key';
  /** SHA-256 (hex) of the key's SPKI DER; also the `hint` in the Sigstore bundle. */
  keyId: string;
  /** SPKI, PEM. P-256 or Ed25519. */
  publicKey: string;
  state: KeyState;
  /** RFC 3339, UTC; required when `state` is `retired`. */
  retiredAt?: string;
  party?: string;
}

/** A build identity that Fulcio certifies (keyless). */
export interface IdentityBuilder {
  kind: 'identity';
  /** OIDC issuer, compared exactly. */
  issuer: string;
  /** Repository and workflow part of the certificate's SAN URI, before `@`; compared exactly. */
  workflow: string;
  /**
   * What may follow `@`: an exact ref, or a prefix that ends in `*`. Empty where the issuer's URIs have no ref (Buildkite, SPIFFE): then
   * `workflow` is the whole URI.
   */
  ref: string;
  state: KeyState;
  retiredAt?: string;
  party?: string;
}

/**
 * `party`: who it is where builders are counted. Those of one party count once: a key and its successor, the two keys of one CI.
 * Without it a key, or an issuer and workflow whatever the ref, is a party of its own.
 */
export type Builder = KeyBuilder | IdentityBuilder;

/** What is asked of one product's releases. */
export interface ProductPolicy {
  builders: Builder[];
  /** Distinct parties among the builders that must each have attested an image. 1 when left out. */
  builderThreshold?: number;
  /** Whether a release needs an SBOM that one of the builders attested to the same image. `optional` when left out. */
  sbom?: 'optional' | 'required';
  /** Transparency logs that a bundle must be in, counted by who runs them (ADR 18). 0 with keys only. */
  logs: number;
  /** Trusted clocks that must have timed a bundle, counted by who runs them (ADR 18). 0 with active keys only. */
  timestamps: number;
  /** No image above this security version is accepted, so that one poisoned release cannot lift every floor. */
  securityVersionCap: number;
  /** Emergency floor: nothing below it is installed. Read each time, never latched. */
  emergencyFloor: number;
}

/** A key that may sign directives for an organisation. */
export interface DirectorKey {
  /** TUF key id of `publicKey`. */
  keyId: string;
  /** SPKI, PEM. Ed25519. */
  publicKey: string;
  state: KeyState;
}

export interface TrustPolicy {
  _type: 'tidegate-policy';
  /** Whole number, rises with each change. */
  version: number;
  /** By organisation: its director keys and their epoch. A sequence of an older epoch never counts again. */
  directors: Record<string, { epoch: number; keys: DirectorKey[] }>;
  /** By product. */
  products: Record<string, ProductPolicy>;
  /** Refused whatever else is signed. A denied running image keeps running. */
  denied: { digests: string[]; signers: string[] };
}
