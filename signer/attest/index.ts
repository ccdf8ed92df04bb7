/**
 * Attestations of an image, as Sigstore bundles v0.3 (JSON). Each is verified with the charger's own code before it is handed out.
 *
 * - Who signs: `keySigning(signer, deployment?)`, `identitySigning(token, deployment)`; the token from `ciToken(env, now)` or
 *   `parseToken(text, now)`, the deployment from `parseSigningConfig(bytes)` and a trusted root.
 * - What: `attestBuild(build, signing)` (SLSA provenance v1), `attestSbom(image, readSbom(bytes), signing)`, `signBlob(bytes, signing)`;
 *   `attestProvenance({...build, signer})` with a key alone.
 * - `hashFile(path): Promise<{sha256, length}>`
 */
export { ATTEST_ERRORS, AttestError, type AttestErrorCode } from './errors.ts';
export { attestBuild, attestProvenance, type Build, hashFile, provenanceOf } from './provenance.ts';
export { attestSbom, readSbom, type Sbom, sbomStatementOf } from './sbom.ts';
export {
  type Deployment,
  identitySigning,
  keySigning,
  signBlob,
  type Signing,
  signStatement,
} from './signing.ts';
export { MAX_SIGNING_CONFIG_BYTES, parseSigningConfig, type SigningConfig } from './signing-config.ts';
export { ciToken, type IdentityToken, MAX_TOKEN_BYTES, parseToken } from './identity-token.ts';
