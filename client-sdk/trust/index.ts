/**
 * Who may say what to a charger: TUF metadata, the trust policy, Sigstore bundles, directives, and the rules of going up and down.
 * Times are milliseconds since the epoch. Everything here refuses with a `Refusal` and its code, whatever the bytes are.
 */

// TUF
export * from './tuf.ts';
export { refreshTrust } from './refresh.ts';
export type { MetadataFetch, RefreshOptions, TrustResult } from './refresh.ts';

// The policy and what a target says of itself
export { attestationsAsked, MAX_POLICY_BYTES, parsePolicy, productPolicyOf, spkiDigest } from './policy.ts';
export { MAX_SECURITY_VERSION, parseCustom } from './custom.ts';

// Sigstore
export { verifyAttestation, verifyBundle } from './bundle.ts';
export type { BundleInput, VerifiedStatement } from './bundle.ts';
export { MAX_BUNDLE_BYTES, MAX_SIGSTORE_ROOT_BYTES, trustMaterial } from './sigstore.ts';
export { MAX_SBOM_BUNDLE_BYTES, MAX_SBOM_BYTES, verifySbom, type VerifiedSbom } from './sbom.ts';
export { refuseByPolicy, ReleaseReview, verifyRelease } from './release.ts';
export type { ReleaseInput, ReleaseQuestion, VerifiedRelease } from './release.ts';

// What the service may ask, and what the charger allows
export { directedTarget, directiveTime, verifyDirective } from './directive.ts';
export type { DirectiveContext } from './directive.ts';
export { decideInstall, floorAfterCommit } from './install-rules.ts';
export type { CommitQuestion, InstallQuestion, InstallState } from './install-rules.ts';

// Time and state
export { MAX_FLOOR_STEP_MS, raiseTimeFloor, readTimeFloor, trustedNow, writeTimeFloor } from './time.ts';
