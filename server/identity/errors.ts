/** Why the device CA cannot be used. */
export const AUTHORITY_ERRORS = {
  AUTHORITY_BROKEN:
    'The device CA is incomplete or does not fit together. Restore its folder from a backup; a new CA would lock every charger out.',
} as const;

export type AuthorityErrorCode = keyof typeof AUTHORITY_ERRORS;

export class AuthorityError extends Error {
  override readonly name = 'AuthorityError';
  readonly code: AuthorityErrorCode;

  /** @param detail what was seen, in a few words; what to do follows from the code. */
  constructor(code: AuthorityErrorCode, detail: string, options?: { cause?: unknown }) {
    super(`${detail} [${code}] ${AUTHORITY_ERRORS[code]}`, options);
    this.code = code;
  }
}
