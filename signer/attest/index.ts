/**
 * Attestations of a build.
 *
 * - `attestProvenance({image, parameters, builder, signer}): Promise<Uint8Array>`: a Sigstore bundle v0.3, JSON.
 * - `hashFile(path): Promise<{sha256, length}>`
 */
export { attestProvenance, type Build, hashFile, provenanceOf } from './provenance.ts';
