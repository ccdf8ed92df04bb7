/** Every reason for which a key is refused, with what to do. */
export const KEY_ERRORS = {
  // Which key
  KEY_REFERENCE:
    'This names no key. Give a key file, `pkcs11:token=…;object=…` (RFC 7512) or `exec:./program`; see `tidegate sign --help`.',
  KEY_SCHEME: 'The key is of a kind that is not supported. Use Ed25519 or P-256.',
  KEY_MISMATCH:
    'The private key in the file does not belong to the public key beside it: the file was tampered with.',
  // Key files
  KEY_NOT_FOUND: 'There is no key file at this path. Check the path, or make one with `tidegate init`.',
  KEY_EXISTS: 'A key file is there already and is not overwritten. Move it away if it is really not needed.',
  KEY_MALFORMED:
    'This is not the key file that is asked for here, or it is damaged. Check the path: `.key.json` signs, `.pub` is handed over; else restore it from its backup.',
  KEY_PASSPHRASE: 'The passphrase does not open this key file. Check it; nothing was signed.',
  KEY_PASSPHRASE_MISSING:
    'No passphrase for this key file. Set TIDEGATE_PASSPHRASE; a development key has a file `passphrase` beside it.',
  // Tokens
  TOKEN_NOT_FOUND:
    'No token fits. Plug it in, and compare with `pkcs11-tool --module … --list-token-slots`; `module-path` names the library.',
  TOKEN_AMBIGUOUS:
    'Several fit, and none is guessed. Add `serial=…` or `slot-id=…` for the token, `id=%…` for the key.',
  TOKEN_KEY_MISSING:
    'The token holds no such private key with an id and its public key. Compare with `pkcs11-tool --module … --login --list-objects`.',
  TOKEN_PIN:
    'The token refuses the PIN. It is not tried again, since a token locks itself after a few tries.',
  TOKEN_PIN_MISSING: 'No PIN. Set TIDEGATE_PKCS11_PIN, or add `?pin-source=file:/path` to the URI.',
  TOKEN_MESSAGE_TOO_LONG:
    'pkcs11-tool hands a token at most 1,024 bytes for an Ed25519 signature. Use a P-256 key in the token.',
  // Programs that sign: pkcs11-tool, and commands behind `exec:`
  PROGRAM_MISSING:
    'The program cannot be started. Check that it is there and executable; pkcs11-tool comes with the package opensc.',
  PROGRAM_FAILED:
    'The program failed. Its last words are above; run it by hand to see more. Nothing was signed.',
  PROGRAM_TIMEOUT:
    'The program did not answer in time and was ended. TIDEGATE_KEY_TIMEOUT sets the seconds that it may take.',
  PROGRAM_ANSWER:
    'The program answered nothing, too much, or not in its format. See docs/examples/README.md for what it is asked.',
  KEY_SIGNATURE_WRONG:
    'What came back is no signature by this key over these bytes, and was thrown away. The program or token signs with another key.',
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
