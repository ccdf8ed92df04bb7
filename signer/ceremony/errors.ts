/** Every reason for which a ceremony is refused, with what to do. */
export const CEREMONY_ERRORS = {
  // What is asked for
  NOTHING_CHANGES:
    'This changes nothing. Say what is to change; `tidegate ceremony start --help` has examples.',
  PERSON_UNKNOWN:
    'Nobody of this name, and no key of this id, has a part here. `tidegate ceremony status` lists who has.',
  PERSON_TWICE:
    'This person would hold two keys of one role, and could stand in for a second person. Replace the key instead, or take the old one away.',
  KEY_TWICE: 'One key cannot be two people, nor count twice. Ask each person for a key of their own.',
  KEY_AMBIGUOUS: 'Several keys begin like this. Give more digits of the id.',
  ROLE_UNKNOWN: 'There is no such role. Roles are root, targets, snapshot, timestamp and the products.',
  THRESHOLD_UNREACHABLE:
    'A role needs at least one signature, and no more than it has people. Change the threshold with it: --threshold <role>=<number>.',
  PRODUCT_UNKNOWN: 'There is no such product. `tidegate ceremony status` lists them.',
  PRODUCT_EXISTS: 'This product is there already.',
  PRODUCT_RETIRED: 'There was a product of this name before, and chargers remember it. Take another name.',
  BUILDER_UNKNOWN: 'The policy names no such builder for this product.',
  FIELD_UNKNOWN: 'The policy has no such field. `tidegate ceremony start --help` lists them.',
  DIRECTOR_MISSING: 'Without an active director key no charger would do anything any more. Add one first.',
  ENTRY_UNKNOWN: 'This is not on the deny list.',
  FINGERPRINT_DIFFERS:
    'The file is not about the root whose fingerprint you were told. Do not sign it; ask who sent it over the phone.',
  // The file
  CEREMONY_MALFORMED: 'This is not a ceremony file, or it is damaged. Ask for it again.',
  CEREMONY_TAMPERED:
    'The file changes something that it does not show. Do not sign it, and find out who changed it on its way.',
  CEREMONY_FOREIGN:
    'The file starts from other documents than the ones here. It is of another organisation, or somebody has made it up. Do not sign it.',
  CEREMONY_AHEAD:
    'The file starts from newer documents than the ones here. Run `tidegate ceremony finish` with the file of the ceremony before it first.',
  CEREMONY_STALE:
    'Something else was signed and finished meanwhile, so that this would be a second next version. Start the ceremony again.',
  CEREMONY_FINISHED: 'This ceremony is finished here already. Next: `tidegate publish`.',
  CEREMONY_VERSION: 'A document is not exactly one version above the one before. Start the ceremony again.',
  CEREMONY_LIFETIME:
    'A document would be valid for longer than 90 days, or is not valid any more. Start the ceremony again.',
  COPIES_DIFFER: 'These files are not copies of one ceremony. Give only copies of one file.',
  // Signatures
  KEY_HAS_NO_PART: 'This key has no part in the ceremony. Sign with a key of one of the people who may.',
  ALREADY_SIGNED: 'This key has signed all of it already; one person counts once. Ask the next one.',
  SIGNATURE_MISSING: 'Too few have signed. Pass the file to those who are missing.',
  SIGNATURE_WRONG:
    'This signature does not verify: it is damaged, or was made over something else. The same person signs again, which replaces it.',
  SIGNATURE_DOUBLE: 'One key is there with two signatures. The same person signs again, which leaves one.',
  SIGNATURE_STRANGER:
    'Somebody signed who has no part in it. Pass on a copy from before, or start the ceremony again.',
} as const;

export type CeremonyErrorCode = keyof typeof CEREMONY_ERRORS;

export class CeremonyError extends Error {
  override readonly name = 'CeremonyError';
  readonly code: CeremonyErrorCode;

  /** @param detail what was seen, in a few words; what to do follows from the code. */
  constructor(code: CeremonyErrorCode, detail: string, options?: { cause?: unknown }) {
    super(`${detail}: ${CEREMONY_ERRORS[code]}`, options);
    this.code = code;
  }
}
