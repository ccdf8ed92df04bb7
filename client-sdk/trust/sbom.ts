/** What is in an image: a CycloneDX or SPDX document, attested to the same digest by one of the product's builders. */
import {
  Refusal,
  refusing,
  SBOM_TYPES,
  SHA256,
  STATEMENT_TYPES,
  type SbomStatement,
} from '../protocol/index.ts';
import { type BundleInput, verifyAttestation } from './bundle.ts';
import { arrayOf, object, oneOf, openObject, parseJson, text } from './shape.ts';

/** Longest document and longest bundle around one, in bytes: a bundle holds it in base64. */
export const MAX_SBOM_BYTES = 8 * 1024 * 1024;
export const MAX_SBOM_BUNDLE_BYTES = 12 * 1024 * 1024;

const statement = object({
  _type: oneOf(...STATEMENT_TYPES),
  subject: arrayOf(openObject({ name: text(256), digest: openObject({ sha256: text(64, SHA256) }) }), 1, 1),
  predicateType: oneOf(...SBOM_TYPES),
  predicate: openObject({}),
});

export interface VerifiedSbom {
  statement: SbomStatement;
  /** Key id (hex) of a key builder, or the certificate's SAN URI. */
  signer: string;
}

/**
 * @param input `sha256` is the image's digest.
 * @throws Refusal DENIED, BUNDLE_INVALID, BUILDER_UNKNOWN, BUILDER_REVOKED, EVIDENCE_MISSING, POLICY_MALFORMED
 */
export function verifySbom(input: BundleInput): VerifiedSbom {
  const { payload, signer } = verifyAttestation(input, MAX_SBOM_BUNDLE_BYTES);
  const said = refusing('BUNDLE_INVALID', 'not a statement about an SBOM', () => {
    const value = parseJson(payload, MAX_SBOM_BUNDLE_BYTES);
    statement(value, '');
    return value as SbomStatement;
  });
  const subject = said.subject[0]?.digest.sha256;
  if (subject !== input.sha256) throw new Refusal('BUNDLE_INVALID', `the SBOM is about ${subject}`);
  return { statement: said, signer };
}
