/**
 * Every reason for which the SDK refuses, one class, a closed set of codes. Whatever a library throws on hostile bytes ends as one of these:
 * a refusal, never a crash and never an accept.
 */
export const REFUSALS = {
  // TUF metadata
  METADATA_MALFORMED:
    'The metadata is not well-formed TUF. Publish it again; if it comes from the charger itself, let it start from its provisioned root.',
  METADATA_TOO_LARGE:
    'The metadata is longer than the limit for its role. Split the product or remove old targets.',
  METADATA_UNSIGNED: 'Fewer distinct keys than the threshold signed this role. Get the missing signatures.',
  METADATA_EXPIRED: 'The metadata has expired at the trusted time. Publish a newer version of the role.',
  METADATA_ROLLBACK:
    'The metadata is older than what this charger has already trusted. Somebody may be replaying an old repository.',
  METADATA_MISMATCH: 'The metadata is not the version or digest that its parent role names.',
  ROOT_VERSION: 'A root must be exactly one version above the one before, signed by both.',
  DELEGATION_INVALID:
    "The product role is not delegated as it must be: one role of the product's name, over its own paths, terminating.",
  // Target and attestation
  TARGET_UNKNOWN: 'The product role does not list this image. Publish the release first.',
  TARGET_MALFORMED: "The target's custom fields are missing or not of the right shape.",
  TARGET_MISMATCH: 'The directive and the product role disagree on digest or length.',
  PRODUCT_MISMATCH: 'The release is for another product.',
  HARDWARE_MISMATCH: "The release does not list this charger's hardware.",
  STATEMENT_MISMATCH:
    'The attested statement and the signed target disagree. Sign the build again with the same product, version, hardware and security version.',
  BUNDLE_MISSING: 'No bundle is published for this image.',
  BUNDLE_INVALID: 'No bundle verifies: malformed, wrong signature, wrong type, or for another image.',
  BUILDER_UNKNOWN: 'The bundle was signed by an identity that the policy does not allow for this product.',
  BUILDER_REVOKED: 'The bundle was signed by a key or identity that is retired or compromised.',
  BUILDERS_TOO_FEW:
    'Fewer distinct builders have attested this image than the policy asks for. Let another one attest it, and list its bundle.',
  SBOM_MISSING: 'The policy asks for an attested SBOM, and this release has none. Attest one, and list it.',
  SBOM_INVALID:
    "The release's SBOM does not verify: malformed, not by one of the product's builders, or about another image.",
  EVIDENCE_MISSING: 'The bundle lacks the transparency log entries or timestamps that the policy asks for.',
  POLICY_MALFORMED: 'trust/policy.json or trust/sigstore_root.json is missing or not of the right shape.',
  // Directive
  DIRECTIVE_MALFORMED: 'The directive is not of the right shape.',
  DIRECTIVE_UNSIGNED: "The directive is not signed by the organisation's current director key.",
  DIRECTIVE_NOT_MINE: 'The directive is for another charger or organisation.',
  DIRECTIVE_NONCE: 'The directive does not echo the nonce of the request: it may be a replay.',
  DIRECTIVE_EXPIRED: 'The directive has expired, is not yet valid, or lives too long.',
  DIRECTIVE_SEQUENCE: "The directive's epoch and sequence are not above the last accepted.",
  DIRECTIVE_WITHDRAWN: 'The service no longer wants this image activated.',
  DIRECTIVE_UNCONFIRMED: 'The service could not be asked right before activation. The image stays staged.',
  // Floors and ways down
  BELOW_FLOOR: "The image's security version is below this charger's floor.",
  BELOW_EMERGENCY_FLOOR: "The image's security version is below the policy's emergency floor.",
  ABOVE_CAP: "The image's security version is above the policy's cap.",
  DOWNGRADE_UNSIGNED:
    'The image is older than the committed one and is not on its signed, unexpired fallback list.',
  DENIED: "The image or its signer is on the policy's deny list.",
  REPEATEDLY_FAILED: 'This charger has fallen back from this image too often; it needs a fresh approval.',
  // Bytes
  IMAGE_DIGEST: 'The bytes fetched are not the image that was signed.',
  IMAGE_LENGTH: 'The image is longer or shorter than signed.',
  DOWNLOAD_FAILED: 'The image could not be fetched. It is tried again, from where it stopped.',
  DOWNLOAD_TOO_SLOW: 'What is fetched arrives below the minimum rate. It is tried again.',
  // Installing
  INSTALL_FAILED: 'The installer refused or failed.',
  HEALTH_FAILED: 'The new image did not prove itself healthy in time; the charger went back.',
  BOOT_FELL_BACK: 'The new image did not boot; the boot loader went back.',
  // State and transport
  STATE_CORRUPT:
    "The charger's stored state is torn or tampered with. It starts again from its provisioned root.",
  SERVICE_UNREACHABLE: 'The service did not answer. The charger goes on as it is and tries again.',
  SERVICE_REFUSED: 'The service refused the request; its own code is in the detail.',
  NOT_PROVISIONED: "The charger's configuration is missing or incomplete.",
} as const;

export type RefusalCode = keyof typeof REFUSALS;

export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: RefusalCode;
  /** What was seen, without the code and the advice that `message` adds. */
  readonly detail: string;

  /** @param detail what was seen, in a few words; what to do follows from the code. */
  constructor(code: RefusalCode, detail: string, options?: { cause?: unknown }) {
    // It goes to a log and to an operator's screen, and strangers may have chosen parts of it.
    const plain = detail.replaceAll(/\p{C}/gu, '?');
    super(`${plain} [${code}] ${REFUSALS[code]}`, options);
    this.code = code;
    this.detail = plain;
  }

  /** For a screen that shows the code beside it. */
  get sentence(): string {
    return `${this.detail}: ${REFUSALS[this.code]}`;
  }
}

/** Runs `check` and turns whatever it throws into a refusal, so that hostile bytes cannot choose the error. */
export function refusing<T>(code: RefusalCode, detail: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(code, detail, { cause: error });
  }
}
