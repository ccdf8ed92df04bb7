/** Why something could not be attested, with what to do. What is wrong with a key has `KeyError`; what a charger would refuse, `Refusal`. */
export const ATTEST_ERRORS = {
  // Who signs
  IDENTITY_MISSING:
    'No identity token. In GitHub Actions give the job `permissions: id-token: write`; in GitLab an `id_tokens:` entry SIGSTORE_ID_TOKEN with ' +
    '`aud: sigstore`; on Buildkite the agent makes one; elsewhere --identity-token-file.',
  IDENTITY_TOKEN:
    'This is no identity token that Fulcio could take. Get a fresh one for the audience `sigstore`.',
  IDENTITY_REFUSED: 'The CI service gave no token. Check that the job may ask for one.',
  IDENTITY_UNUSABLE:
    'The certificate names somebody whom no policy can name: chargers trust CI workflows, which have a URI. Sign from CI.',
  CERTIFICATE_WRONG:
    'The certificate is not for the key that asked for it. Check which Fulcio the signing config names.',
  // Whom to ask
  SIGNING_CONFIG:
    'The signing config is not one of version 0.2. Make it with `cosign signing-config create`.',
  SERVICE_NONE: 'The signing config names no such service that is valid now. Update it.',
  SERVICE_INSECURE: 'A service must have an https: URL; plain http: is for this machine only.',
  SERVICE_UNREACHABLE: 'The service did not answer. Try again; behind a private CA set NODE_EXTRA_CA_CERTS.',
  SERVICE_REFUSED: 'The service refused. Its own words are above.',
  SERVICE_ANSWER:
    'The service answered something that this protocol does not know. Check its URL in the signing config.',
  // What is signed
  SCHEME_UNFIT:
    'Ed25519 signs attestations, and Rekor v1 logs them; Rekor v2 and plain blobs need a P-256 key, since they hold a digest alone.',
  SBOM_MALFORMED:
    'This is neither CycloneDX nor SPDX in JSON. Have the tool write `cyclonedx-json` or `spdx-json`.',
  SBOM_VERSION: 'This version of the format is not known here. Use CycloneDX 1.4 to 1.7, SPDX 2.2 or 2.3.',
  SBOM_TOO_LARGE: 'The SBOM is longer than 8 MiB. Leave out file listings.',
} as const;

export type AttestErrorCode = keyof typeof ATTEST_ERRORS;

export class AttestError extends Error {
  override readonly name = 'AttestError';
  readonly code: AttestErrorCode;

  /** @param detail what was seen, in a few words; what to do follows from the code. Never holds a token. */
  constructor(code: AttestErrorCode, detail: string, options?: { cause?: unknown }) {
    super(`${detail}: ${ATTEST_ERRORS[code]}`, options);
    this.code = code;
  }
}
