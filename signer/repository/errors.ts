/** Every reason for which an edit of the repository is refused, with what to do. */
export const REPOSITORY_ERRORS = {
  KEY_NOT_OF_ROLE: "This key does not belong to the role. Sign with one of the role's keys.",
  ALREADY_SIGNED: 'This key has signed already; one person counts once. Ask the next key holder.',
  SIGNATURE_INVALID: 'The signer made a signature that does not verify. Check the key or token.',
  THRESHOLD_NOT_MET: 'Fewer keys signed than the role asks for. Get the missing signatures.',
  THRESHOLD_INVALID: 'A threshold is at least 1 and at most the number of distinct keys.',
  PRODUCT_NAME: 'A product id looks like `acme.dc150`: lower case, parts joined by dots.',
  PRODUCT_EXISTS: 'This product is delegated already.',
  PRODUCT_UNKNOWN: 'No such product. Add it with `tidegate product add`.',
  TARGET_PATH:
    'A product role lists files directly below its product only, e.g. `acme.dc150/fw-1.2.0.raucb`.',
  RELEASE_EXISTS:
    'This version is listed already. Give another build a new version; what is said of the listed one is changed by `tidegate release amend`.',
  RELEASE_UNKNOWN: 'The product role lists no such release. See `tidegate release list`.',
  BUNDLE_LISTED: 'The release lists this bundle already.',
  BUNDLE_UNKNOWN: 'The release lists no such bundle. See `tidegate release show`.',
  NOTHING_CHANGES: 'The product role says exactly that already. There is nothing to sign.',
  DIGEST_EXISTS: 'These very bytes are listed already as another version. Check which image this is.',
  CUSTOM_INVALID: "The release's description is not of the right shape.",
  FALLBACK_UNKNOWN: 'A fallback must be an earlier release that the product role lists with the same digest.',
  WORKING_COPY_MISSING:
    'There are no signed documents here. Go to the folder that holds .tidegate, or set TIDEGATE_HOME; where nothing exists yet, begin with `tidegate ceremony start --new` (or `tidegate init` to try it out).',
  WORKING_COPY_BROKEN: 'The working copy is damaged or not signed as it must be. Restore it.',
  PROPOSAL_MISSING: 'There is no such proposal. See `tidegate release list`.',
  PROPOSAL_MALFORMED: 'This is not a proposal file, or it is damaged. Propose it again.',
  PROPOSAL_EXISTS:
    'This is proposed already. Let the others cosign it, or take it back with `tidegate release drop`.',
  PROPOSAL_PENDING:
    'Another change of this product waits for signatures. Let it be cosigned first, or take it back with `tidegate release drop`.',
  PROPOSAL_COMPLETE:
    'This has all its signatures. `tidegate release finish` takes it in where it came from another machine, `tidegate publish` publishes it.',
  PROPOSAL_AHEAD:
    'This builds on a change that is not here yet. Take that in first: `tidegate release finish` with its file, in the order in which they were made.',
  PROPOSAL_SIGNED:
    'All have signed this, so the service has to be asked whether it is published. Say who you are: --credential, or TIDEGATE_CREDENTIAL.',
  PROPOSAL_PUBLISHED:
    'This is published, and cannot be dropped any more. `tidegate release yank`, `deprecate --undo` and `amend` change what is published.',
  PROPOSAL_BUILT_ON: 'Another change builds on this one. Drop that first.',
  PROPOSAL_STALE: 'The product role has moved on since this was proposed. Propose it again.',
  PROPOSAL_TAMPERED: 'The proposal changes something else than it names. Do not sign it.',
} as const;

export type RepositoryErrorCode = keyof typeof REPOSITORY_ERRORS;

export class RepositoryError extends Error {
  override readonly name = 'RepositoryError';
  readonly code: RepositoryErrorCode;

  /** @param detail what was seen, in a few words; what to do follows from the code. */
  constructor(code: RepositoryErrorCode, detail: string, options?: { cause?: unknown }) {
    super(`${detail}: ${REPOSITORY_ERRORS[code]}`, options);
    this.code = code;
  }
}
