/** Every reason for which a key is refused, with what to do. */
export const KEY_ERRORS = {
  KEY_NOT_FOUND: 'There is no key file at this path. Check the path, or make one with `tidegate init`.',
  KEY_EXISTS: 'A key file is there already and is not overwritten. Move it away if it is really not needed.',
  KEY_MALFORMED: 'This is not a Tidegate key file, or it is damaged. Restore it from its backup.',
  KEY_SCHEME: 'The key is of a kind that is not supported. Use Ed25519 or P-256.',
  KEY_PASSPHRASE: 'The passphrase does not open this key file. Check it; nothing was signed.',
  KEY_PASSPHRASE_MISSING:
    'No passphrase for this key file. Set TIDEGATE_PASSPHRASE; a development key has a file `passphrase` beside it.',
  KEY_MISMATCH:
    'The private key in the file does not belong to the public key beside it: the file was tampered with.',
} as const;

export type KeyErrorCode = keyof typeof KEY_ERRORS;

export class KeyError extends Error {
  override readonly name = 'KeyError';
  readonly code: KeyErrorCode;

  /** @param detail which key; what to do follows from the code. Never holds secrets. */
  constructor(code: KeyErrorCode, detail: string, options?: { cause?: unknown }) {
    super(`${detail}: ${KEY_ERRORS[code]}`, options);
    this.code = code;
  }
}
